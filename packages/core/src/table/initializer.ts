/**
 * The first value of a row: a pure function of (seed, table, key, component). Replicas, replays and moved
 * partitions agree on it without a message, and a pull of an unknown key is answered without creating its row.
 *
 * Component c takes word c mod 4 of one Threefry block: key (seed, table, stream, 0), counter (⌊c / 4⌋, attempt, key).
 * Part of the stored format: never change it.
 */
import { cosTurn, radius, sinTurn } from "./gaussian.ts";
import type { InitializerSpec } from "./table-spec.ts";
import { threefry } from "./threefry.ts";

/** Writes the first `dim` weights of the row of a key to `out` from `at` on. */
export type Initializer = (lo: number, hi: number, out: Float32Array, at: number, dim: number) => void;

/** Scratch of one call, shared by all tables: nothing here outlives a call. */
const WORDS = new Uint32Array(4);
const DEVIATES = new Float64Array(4);
const AGAIN = new Float64Array(4);

/** Sets this use of the generator apart from others with the same seed: "rows" in ASCII. */
const STREAM = 0x726f7773;

/**
 * The initializer a spec describes, for one table of one job.
 *
 * @throws {RangeError} an empty range or a negative spread, naming it
 */
export function initializerOf(spec: InitializerSpec, origin: { seed: number; table: number }): Initializer {
  const generator = new Uint32Array([origin.seed, origin.table, STREAM, 0]);
  switch (spec.kind) {
    case "zeros":
      return constant(0);
    case "constant":
      return constant(spec.value);
    case "uniform":
      if (!(spec.min <= spec.max)) {
        throw new RangeError(`uniform initializer from ${spec.min} to ${spec.max}: min must not be above max`);
      }
      return uniform(generator, spec.min, spec.max);
    case "normal":
      return normal(generator, spread(spec), Infinity);
    case "truncated-normal":
      return normal(generator, spread(spec), 2);
    default:
      return spec satisfies never;
  }
}

function spread<Spec extends { kind: string; mean: number; stddev: number }>(spec: Spec): Spec {
  if (spec.stddev >= 0) return spec;
  throw new RangeError(`${spec.kind} initializer with stddev ${spec.stddev}: it must be at least 0`);
}

function constant(value: number): Initializer {
  return (_lo, _hi, out, at, dim) => {
    out.fill(value, at, at + dim);
  };
}

/** min + (max − min) · word / 2³² */
function uniform(generator: Uint32Array, min: number, max: number): Initializer {
  const scale = (max - min) / 0x100000000;
  return (lo, hi, out, at, dim) => {
    for (let c = 0; c < dim; c++) {
      if ((c & 3) === 0) threefry(WORDS, generator, c >>> 2, 0, lo, hi);
      out[at + c] = min + scale * WORDS[c & 3]!;
    }
  };
}

/** mean + stddev · z, where a z beyond `most` is drawn again with the next attempt number. */
function normal(generator: Uint32Array, spec: { mean: number; stddev: number }, most: number): Initializer {
  const { mean, stddev } = spec;
  return (lo, hi, out, at, dim) => {
    for (let c = 0; c < dim; c++) {
      const block = c >>> 2;
      const word = c & 3;
      if (word === 0) drawBlock(DEVIATES, generator, block, 0, lo, hi);
      let z = DEVIATES[word]!;
      for (let attempt = 1; Math.abs(z) > most; attempt++) {
        drawBlock(AGAIN, generator, block, attempt, lo, hi);
        z = AGAIN[word]!;
      }
      out[at + c] = mean + stddev * z;
    }
  };
}

/** Four normal deviates of one block, as two pairs. */
function drawBlock(
  into: Float64Array,
  generator: Uint32Array,
  block: number,
  attempt: number,
  lo: number,
  hi: number,
): void {
  threefry(WORDS, generator, block, attempt, lo, hi);
  for (let pair = 0; pair < 4; pair += 2) {
    const r = radius(WORDS[pair]!);
    into[pair] = r * cosTurn(WORDS[pair + 1]!);
    into[pair + 1] = r * sinTurn(WORDS[pair + 1]!);
  }
}
