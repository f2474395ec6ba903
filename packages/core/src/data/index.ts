export {
  atLeast,
  bucket,
  column,
  cross,
  dayOfMonth,
  dayOfWeek,
  file,
  hash,
  hourOf,
  minuteOfDay,
  monthOf,
  npmFile,
  parquet,
  since,
  slotOf,
  standardise,
  type DataOptions,
  type FieldLike,
} from "./builders.ts";
export {
  dataSpecSchema,
  fieldSpecSchema,
  fileSpecSchema,
  type DataSpec,
  type DatePart,
  type FieldSpec,
  type FileSpec,
  type LabelSpec,
  type SplitSpec,
} from "./data-spec.ts";
export type { Batch, Column, ColumnTable, Dataset, FieldDemand, Split } from "./dataset.ts";
export { fieldStatistics, type FieldStatistics } from "./field-statistics.ts";
export { didYouMean, nearestName } from "./nearest-name.ts";
export { columnsOf, openDataset, type OpenDatasetOptions } from "./open-dataset.ts";
export { epochOrder, type EpochOrderOptions } from "./order.ts";
