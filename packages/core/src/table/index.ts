export type { RowSpace } from "./cold-rows.ts";
export { MemoryColdStore, type ColdStore, type OpenColdStore } from "./cold-store.ts";
export { Arena } from "./arena.ts";
export { allFinite } from "./floats.ts";
export { initializerOf, type Initializer } from "./initializer.ts";
export { KeyIndex } from "./key-index.ts";
export type { ExportedRows } from "./exported-rows.ts";
export { TableMemory, type MemoryShare, type TableMemoryOptions } from "./table-memory.ts";
export {
  admissionSpecSchema,
  DENSE_TABLE,
  evictionSpecSchema,
  initializerSpecSchema,
  tableSpecSchema,
  type AdmissionSpec,
  type CounterSpec,
  type EvictionSpec,
  type InitializerSpec,
  type TableSpec,
} from "./table-spec.ts";
export { threefry } from "./threefry.ts";
export type { TableTombstones, TombstonesAnswer, VocabularyRecord } from "./vocabulary-record.ts";
