/**
 * The tables that simulated clients push to directly, outside of training. Each shows something else of what became of
 * the pushes: how often each was applied, in which order, with which optimizer state.
 */
import type { JobManifest } from "@volary/core/job";
import type { TableSpec } from "@volary/core/table";

const zeros = { kind: "zeros" } as const;

export const PLAIN = {
  /** Every push has keys of its own: a row is 1 when it was applied once, 2 when it was applied twice. */
  once: { id: 1, name: "once", dim: 1, initializer: zeros, optimizer: { kind: "sum" } },
  /** Counts of keys that all clients share. */
  counts: { id: 2, name: "counts", dim: 1, initializer: zeros, optimizer: { kind: "count" } },
  /** The greatest values that were pushed. */
  peaks: { id: 3, name: "peaks", dim: 2, initializer: { kind: "constant", value: -8 }, optimizer: { kind: "max" } },
  /** Plain gradient descent with whole numbers: exact, in whichever order they come. */
  weights: {
    id: 4,
    name: "weights",
    dim: 3,
    initializer: { kind: "constant", value: 0.25 },
    optimizer: { kind: "sgd", learningRate: 0.5 },
  },
  /** Each key has one client, which pushes and sets one after the other: bit for bit what one thread computes. */
  own: {
    id: 5,
    name: "own",
    dim: 2,
    initializer: { kind: "uniform", min: -1, max: 1 },
    optimizer: { kind: "adam", learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
  },
  /** Counts keys only from their third push on. */
  late: {
    id: 6,
    name: "late",
    dim: 1,
    initializer: zeros,
    optimizer: { kind: "count" },
    admission: { kind: "count", updates: 3, counter: { kind: "exact", keysMax: 4096 } },
  },
  /** Keeps only some of its keys. */
  few: {
    id: 7,
    name: "few",
    dim: 1,
    initializer: zeros,
    optimizer: { kind: "count" },
    eviction: { rowsMax: 24, order: "least-frequent" },
  },
} as const satisfies Record<string, TableSpec>;

export type PlainName = keyof typeof PLAIN;

/** Keys below 2^40, spread over hash and range partitions alike; equal numbers give equal keys, others others. */
export function plainKey(number: number): bigint {
  return (BigInt(number) * 0x9e_3779_b97fn) & 0xff_ffff_ffffn;
}

/** A job that is never run: its tables alone are used. */
export function plainManifest(seed: number): JobManifest {
  return {
    name: "plain",
    seed,
    tables: Object.values(PLAIN),
    model: { embeddings: [], numbers: [], variables: [], outputs: 1 },
    data: { format: { kind: "table" }, files: [{ kind: "file", path: "none" }], fields: {}, badRowsMax: 0 },
    compile: { optimizer: { kind: "none" }, loss: "meanSquaredError", metrics: [] },
    fit: { epochs: 1, batchSize: 1, consistency: { mode: "bsp" }, shuffle: false, validate: "end" },
    workersMin: 1,
  };
}
