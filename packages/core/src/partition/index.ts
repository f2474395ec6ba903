export { partitionFunction, type PartitionFunction } from "./partition-function.ts";
export {
  chainsOf,
  firstPartitionMap,
  keepsOrder,
  partitionMapSchema,
  psNodeSchema,
  sameChain,
  type PartitionEntry,
  type PartitionMap,
  type PsNode,
} from "./partition-map.ts";
export type { CopyPart } from "./copy-part.ts";
export { Partition, type PartitionOptions } from "./partition.ts";
export type { PartitionCopy } from "./partition-copy.ts";
export type {
  CloseAnswer,
  CommitAnswer,
  Committed,
  PartitionRole,
  PromiseAnswer,
  Received,
  StartAnswer,
} from "./step-state.ts";
export { placePartitions, siteOf, type Placement } from "./placement.ts";
export { TRAINING_CLIENT, type DirectPush, type PushIdentity } from "./push-identities.ts";
export type { KeySegment, Segment, SegmentSize, SegmentTarget } from "./segment.ts";
