/**
 * Which partition owns a key, as data: it is part of the partition map and the same for the life of a job's rows.
 *
 * `hash` spreads any keys evenly. `range` keeps neighbours together: partition p holds the p-th of equal ranges of
 * the keys below 2^keyBits; larger keys fall into the last one.
 */
import { z } from "zod";
import { LIMITS } from "../limits.ts";
import { partitionOf } from "../hash.ts";

export const partitionFunctionSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("hash") }),
  z.strictObject({ kind: z.literal("range"), keyBits: z.number().int().min(1).max(64) }),
]);
export type PartitionFunction = z.infer<typeof partitionFunctionSchema>;

/**
 * The function a spec describes, from the two words of a key to its partition.
 *
 * @param partitions a power of two
 * @throws {RangeError} not a power of two, over the limit, or more ranges than keys
 */
export function partitionFunction(spec: PartitionFunction, partitions: number): (lo: number, hi: number) => number {
  const log2 = partitionsLog2Of(partitions);
  switch (spec.kind) {
    case "hash":
      return (lo, hi) => partitionOf(lo, hi, log2);
    case "range":
      if (spec.keyBits < log2) {
        throw new RangeError(
          `${partitions} ranges of ${spec.keyBits}-bit keys would be empty: set keyBits to ${log2} or more`,
        );
      }
      return rangeFunction(spec.keyBits - log2, partitions - 1);
    default:
      return spec satisfies never;
  }
}

/** @throws {RangeError} not a power of two, or over the limit */
export function partitionsLog2Of(partitions: number): number {
  const log2 = 31 - Math.clz32(partitions);
  if (
    !Number.isInteger(partitions) ||
    partitions < 1 ||
    partitions > LIMITS.partitionsMax ||
    1 << log2 !== partitions
  ) {
    throw new RangeError(
      `${partitions} partitions: the number must be a power of two from 1 to ${LIMITS.partitionsMax}`,
    );
  }
  return log2;
}

/** key >>> shift, at most `last`. */
function rangeFunction(shift: number, last: number): (lo: number, hi: number) => number {
  const clamp = (range: number): number => (range < last ? range : last);
  if (shift === 64) return () => 0;
  if (shift >= 32) return (_lo, hi) => clamp(hi >>> (shift - 32));
  if (shift === 0) return (lo, hi) => (hi === 0 ? clamp(lo) : last);
  const highLimit = 2 ** shift;
  return (lo, hi) => (hi < highLimit ? clamp(((hi << (32 - shift)) | (lo >>> shift)) >>> 0) : last);
}
