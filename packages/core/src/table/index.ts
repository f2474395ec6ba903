export { allFinite } from "./floats.ts";
export { initializerOf, type Initializer } from "./initializer.ts";
export { KeyIndex } from "./key-index.ts";
export type { ExportedRows } from "./rows.ts";
export {
  DENSE_TABLE,
  initializerSpecSchema,
  tableSpecSchema,
  type InitializerSpec,
  type TableSpec,
} from "./table-spec.ts";
