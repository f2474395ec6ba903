/**
 * Keys drawn for each sample and epoch, as `negatives()` asks: a pure function of (seed, split, epoch, sample, place in
 * the list), so that workers and retries draw the same ones and nothing is stored.
 *
 * The first 53 bits of MurmurHash3_x86_128 over (sample, place), salted by the rest, as a share of the vocabulary: a
 * key's chance is off by less than vocabulary / 2^53.
 */
import type { FieldSpec } from "../spec/data-spec.ts";
import type { KeyLists, Split } from "../spec/dataset.ts";
import { hashPairs, saltOf } from "./murmur3.ts";

export interface NegativesRequest {
  /** The field's name: two fields draw different keys. */
  field: string;
  spec: Extract<FieldSpec, { kind: "negatives" }>;
  /** Of the job, u32. */
  seed: number;
  split: Split;
  epoch: number;
  /** Sample numbers in their split. */
  samples: Uint32Array;
}

export function drawNegatives({ field, spec, seed, split, epoch, samples }: NegativesRequest): KeyLists {
  const { count, vocabulary } = spec;
  const salt = saltOf(`negatives ${seed} ${split} ${epoch} ${field}`);
  const total = samples.length * count;
  const places = new Uint32Array(2 * total);
  const offsets = new Uint32Array(samples.length + 1);
  for (let b = 0, at = 0; b < samples.length; b++) {
    for (let i = 0; i < count; i++) {
      places[at++] = samples[b]!;
      places[at++] = i;
    }
    offsets[b + 1] = (b + 1) * count;
  }
  const keys = new Uint32Array(2 * total);
  hashPairs(salt, [places], total, keys);
  for (let at = 0; at < keys.length; at += 2) {
    const share = (keys[at]! * 0x20_0000 + (keys[at + 1]! >>> 11)) / 0x20_0000_0000_0000;
    const key = Math.floor(share * vocabulary);
    keys[at] = key;
    keys[at + 1] = Math.floor(key / 0x1_0000_0000);
  }
  return { offsets, keys };
}
