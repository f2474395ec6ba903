/** What a batch holds, field by field: the evidence in the report of a loss that became NaN. */
import type { Batch } from "../spec/dataset.ts";

export type FieldStatistics =
  | { field: string; as: "numbers"; min: number; max: number; mean: number; nans: number }
  | { field: string; as: "keys"; distinctKeys: number };

/** One entry per field, keys first; the label comes last, as `field: "label"`. min, max and mean leave NaN out. */
export function fieldStatistics(batch: Batch): FieldStatistics[] {
  const keyLists = Array.from(batch.keyLists, ([field, { keys }]) => [field, keys] as const);
  const numberLists = Array.from(batch.numberLists, ([field, { values }]) => [field, values] as const);
  return [
    ...[...batch.keys, ...keyLists].map(([field, keys]) => ({
      field,
      as: "keys" as const,
      distinctKeys: distinctKeys(keys),
    })),
    ...[...batch.numbers, ...numberLists].map(([field, numbers]) => ({ field, ...spreadOf(numbers) })),
    { field: "label", ...spreadOf(batch.label) },
  ];
}

function distinctKeys(pairs: Uint32Array): number {
  return new Set(new BigUint64Array(pairs.slice().buffer)).size;
}

function spreadOf(numbers: Float32Array): Omit<Extract<FieldStatistics, { as: "numbers" }>, "field"> {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let nans = 0;
  for (const number of numbers) {
    if (Number.isNaN(number)) {
      nans++;
      continue;
    }
    if (number < min) min = number;
    if (number > max) max = number;
    sum += number;
  }
  const count = numbers.length - nans;
  const none = Number.NaN;
  return { as: "numbers", min: count > 0 ? min : none, max: count > 0 ? max : none, mean: sum / count, nans };
}
