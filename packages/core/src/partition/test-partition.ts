/** For tests: a partition of two tables, and one key of it whose weight shows which gradients were applied. */
import { bsp, consistencyOf } from "../consistency/index.ts";
import { adagrad, sgd } from "../optimizer/index.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { Partition, type PartitionOptions } from "./partition.ts";
import { segmentOf, weightsOf } from "./test-segment.ts";

export const TABLES: TableSpec[] = [
  { id: 2, name: "route", dim: 1, initializer: { kind: "zeros" }, optimizer: sgd({ learningRate: 1 }) },
  { id: 5, name: "hour", dim: 2, initializer: { kind: "constant", value: 0.5 }, optimizer: adagrad() },
];

export function partition(): Partition {
  return new Partition(options());
}

export function options(): PartitionOptions {
  return {
    partition: 3,
    partitions: 256,
    seed: 7,
    tables: TABLES,
    mode: consistencyOf(bsp()),
    share: testShare(),
  };
}

/** A partition whose attempt 1 is open at step 1. */
export function started({ slots = 2 } = {}): Partition {
  const p = partition();
  p.start({ step: 1, attempt: 1, slots, term: 1 });
  return p;
}

/** One gradient for key 9 of "route". */
export const gradient = (value: number) => segmentOf({ table: 2, keys: [9], values: [value] });

/** The weight of key 9 of "route": minus the sum of all gradients applied. */
export function weight(p: Partition): number {
  return weightsOf(p, segmentOf({ table: 2, keys: [9], values: [] }))[0]!;
}
