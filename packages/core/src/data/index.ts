export {
  bucket,
  clip,
  column,
  cross,
  dayOfMonth,
  dayOfWeek,
  hash,
  hourOf,
  logOf,
  minuteOfDay,
  monthOf,
  negatives,
  quantiles,
  slotOf,
  split,
  standardise,
  withDefault,
  type ColumnsIn,
  type Field,
  type FieldLike,
  type Gives,
  type GivesOf,
  type ReadsColumns,
} from "./builders/field-builders.ts";
export { file, http, npmFile, s3, type FileLike, type FilesLike } from "./builders/file-builders.ts";
export { columnsOf } from "./fields/field-demand.ts";
export { fitFields, needsFitting } from "./fields/fit-fields.ts";
export {
  atLeast,
  classes,
  columns,
  constantLabel,
  equals,
  fraction,
  heldOutFiles,
  since,
  where,
  type HeldOut,
  type Label,
} from "./builders/label-builders.ts";
export {
  csv,
  jsonl,
  libsvm,
  npy,
  parquet,
  tsv,
  type CheckedField,
  type CheckedFields,
  type CsvOptions,
  type DataOptions,
  type DataSource,
  type DataSourceOf,
  type FieldsOf,
  type LibsvmColumn,
  type TsvOptions,
  type TypedOptions,
} from "./builders/source-builders.ts";
export { openStreamedDataset, type OpenStreamedDatasetOptions } from "./streamed-dataset.ts";
export { decodeTable, encodeTable } from "./table-file.ts";
export { tableOf, type ColumnArray, type ListArray } from "./builders/table-of.ts";
export {
  dataSpecSchema,
  type ColumnType,
  type DataSpec,
  type DatePart,
  type FieldSpec,
  type FileSpec,
  type FormatSpec,
  type LabelSpec,
  type SplitSpec,
} from "./spec/data-spec.ts";
export type {
  BadRow,
  Batch,
  Column,
  ColumnTable,
  Dataset,
  FieldDemand,
  KeyLists,
  MemoryDataset,
  NumberLists,
  RowSource,
  Split,
} from "./spec/dataset.ts";
export { fieldStatistics, type FieldStatistics } from "./fields/field-statistics.ts";
export type { LabelDemand } from "./fields/label-demand.ts";
export { didYouMean, nearestName } from "./spec/nearest-name.ts";
export { openDataset, type OpenDatasetOptions } from "./open-dataset.ts";
export { EpochOrder, epochOrder, type EpochOrderOptions } from "./order.ts";
export { weighingSamples } from "./weighing-samples.ts";
