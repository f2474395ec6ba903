/**
 * What of a batch the model reads: the keys of each embedding, and the numbers of each sample.
 *
 * Shapes: B samples, N floats of a sample's numbers.
 */
import type { Batch } from "../../data/index.ts";
import type { UseKeys } from "../../embedding/index.ts";
import { assert, ClusterError } from "../../errors.ts";
import { floatsOfNumbers, type EmbeddingUse, type NumberUse } from "../../job/index.ts";

/** @throws {ClusterError} BAD_DATA: a list of weights that is not as long as its list of keys */
export function keysOf({ field, usage }: EmbeddingUse, batch: Batch): UseKeys {
  if (usage.kind === "one") {
    const keys = batch.keys.get(field);
    assert(keys, `the batch has no keys of field "${field}"`);
    return { keys };
  }
  const lists = batch.keyLists.get(field);
  assert(lists, `the batch has no lists of keys of field "${field}"`);
  if (usage.kind === "sequence" || usage.weights === undefined) return lists;
  const weights = batch.numberLists.get(usage.weights);
  assert(weights, `the batch has no lists of numbers of field "${usage.weights}"`);
  const odd = unevenSample(lists.offsets, weights.offsets, batch.weight);
  if (odd < 0) return { ...lists, weights };
  const lengths = [lists, weights].map(({ offsets }) => offsets[odd + 1]! - offsets[odd]!);
  throw new ClusterError(
    "BAD_DATA",
    `a sample has ${lengths[0]} keys in field "${field}" and ${lengths[1]} weights in field "${usage.weights}"; ` +
      `every key of a row needs one weight: correct the row, or leave the weights out`,
  );
}

/** Numbers of every sample side by side: float32, shape [B, N]. */
export function packNumbers(uses: readonly NumberUse[], batch: Batch): Float32Array {
  const N = uses.reduce((floats, use) => floats + floatsOfNumbers(use), 0);
  const packed = new Float32Array(batch.samples * N);
  let at = 0;
  for (const use of uses) {
    const width = floatsOfNumbers(use);
    const values = batch.numbers.get(use.field);
    assert(values, `the batch has no numbers of field "${use.field}"`);
    if (values.length !== batch.samples * width) {
      throw new RangeError(
        `field "${use.field}" gave ${values.length} numbers; ${batch.samples} samples of shape ` +
          `[${use.shape.join(",")}] have ${batch.samples * width}`,
      );
    }
    copyColumns(values, width, packed, at, N);
    at += width;
  }
  return packed;
}

// -- the loops -----------------------------------------------------------------------------------------------

/** First sample whose two lists differ in length; a row without weight in the loss is a bad one, and may. */
function unevenSample(a: Uint32Array, b: Uint32Array, weight: Float32Array | undefined): number {
  for (let s = 0; s + 1 < a.length; s++) {
    if (a[s + 1]! - a[s]! !== b[s + 1]! - b[s]! && weight?.[s] !== 0) return s;
  }
  return -1;
}

function copyColumns(values: Float32Array, width: number, packed: Float32Array, first: number, N: number): void {
  for (let i = 0, at = first; i < values.length; i += width, at += N) {
    for (let j = 0; j < width; j++) packed[at + j] = values[i + j]!;
  }
}
