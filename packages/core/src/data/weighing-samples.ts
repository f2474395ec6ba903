/**
 * A batch without the samples that weigh nothing, which bad rows do. In loss and gradients they are zeros; but their
 * keys would be pulled and pushed, and a gradient of zero moves a row whose optimizer has momentum.
 */
import type { Batch, KeyLists, NumberLists } from "./spec/dataset.ts";

/** The samples of `batch` whose weight is not 0, in their order; `batch` itself where that is all of them. */
export function weighingSamples(batch: Batch): Batch {
  const { weight } = batch;
  if (!weight?.includes(0)) return batch;
  const kept = Uint32Array.from(weight.keys()).filter((sample) => weight[sample] !== 0);
  const rowsOf = <A extends Uint32Array | Float32Array>(values: A, width: number): A => picked(values, width, kept);
  return {
    samples: kept.length,
    keys: mapped(batch.keys, (keys) => rowsOf(keys, 2)),
    keyLists: mapped(batch.keyLists, ({ offsets, keys }): KeyLists => {
      const lists = pickedLists({ offsets, elements: keys, width: 2 }, kept);
      return { offsets: lists.offsets, keys: lists.elements };
    }),
    numbers: mapped(batch.numbers, (numbers) => rowsOf(numbers, numbers.length / batch.samples)),
    numberLists: mapped(batch.numberLists, ({ offsets, values }): NumberLists => {
      const lists = pickedLists({ offsets, elements: values, width: 1 }, kept);
      return { offsets: lists.offsets, values: lists.elements };
    }),
    label: rowsOf(batch.label, batch.label.length / batch.samples),
    weight: rowsOf(weight, 1),
    group: batch.group && rowsOf(batch.group, 2),
  };
}

function mapped<A, B>(map: ReadonlyMap<string, A>, of: (value: A) => B): Map<string, B> {
  return new Map(Array.from(map, ([name, value]) => [name, of(value)]));
}

function picked<A extends Uint32Array | Float32Array>(values: A, width: number, kept: Uint32Array): A {
  const out = values.slice(0, width * kept.length) as A;
  kept.forEach((sample, i) => out.set(values.subarray(width * sample, width * (sample + 1)), width * i));
  return out;
}

interface Lists<A> {
  offsets: Uint32Array;
  elements: A;
  /** Words of an element. */
  width: number;
}

function pickedLists<A extends Uint32Array | Float32Array>(
  { offsets, elements, width }: Lists<A>,
  kept: Uint32Array,
): Omit<Lists<A>, "width"> {
  const keptOffsets = new Uint32Array(kept.length + 1);
  kept.forEach((sample, i) => (keptOffsets[i + 1] = keptOffsets[i]! + offsets[sample + 1]! - offsets[sample]!));
  const out = elements.slice(0, width * keptOffsets[kept.length]!) as A;
  kept.forEach((sample, i) =>
    out.set(elements.subarray(width * offsets[sample]!, width * offsets[sample + 1]!), width * keptOffsets[i]!),
  );
  return { offsets: keptOffsets, elements: out };
}
