export { partitionFunction, partitionFunctionSchema, type PartitionFunction } from "./partition-function.ts";
export {
  firstPartitionMap,
  nextPartitionMap,
  partitionMapSchema,
  psNodeSchema,
  type PartitionEntry,
  type PartitionMap,
  type PsNode,
} from "./partition-map.ts";
export {
  Partition,
  type CommitAnswer,
  type Committed,
  type PartitionOptions,
  type PromiseAnswer,
  type Received,
  type StartAnswer,
} from "./partition.ts";
export { placePartitions, type Placement } from "./placement.ts";
export type { PushIdentity } from "./push-identities.ts";
export type { KeySegment, Segment } from "./segment.ts";
