/**
 * What the layers compute, in plain arithmetic on arrays: the definitions of their papers, one sample at a time, that
 * the tensors are held to.
 *
 * Shapes: embeddings, places and rows are [D]; a matrix is flat, row by row.
 */
import type { AttentionActivation } from "./attention-pooling.ts";
import type { PoolingMode } from "./sequence-pooling.ts";

export type Numbers = readonly number[];

export function pairsByDefinition(embeddings: Numbers[], self: "with" | "without"): number[] {
  return embeddings.flatMap((v, f) =>
    embeddings.flatMap((w, g) => (g > f || (g === f && self === "with") ? [dot(v, w)] : [])),
  );
}

export function crossByDefinition(x0: Numbers, maps: { kernels: Numbers[]; bias: Numbers }[]): number[] {
  return maps.reduce((x: number[], { kernels, bias }) => {
    const map = kernels.reduce((at: number[], kernel) => mapped(at, kernel, kernel.length / at.length), x);
    return plus(times(x0, plus(map, bias)), x);
  }, Array.from(x0));
}

/** @param places at least one */
export function pooledByDefinition(mode: PoolingMode, places: Numbers[]): number[] {
  return places[0]!.map((_, d) => {
    const column = places.map((place) => place[d]!);
    if (mode === "max") return Math.max(...column);
    return sum(column) / (mode === "mean" ? column.length : 1);
  });
}

/** @param places at least one */
export function attendedByDefinition(places: Numbers[], score: (place: Numbers) => number): number[] {
  const powers = places.map((place) => Math.exp(score(place)));
  return places[0]!.map((_, d) => sum(places.map((place, l) => powers[l]! * place[d]!)) / sum(powers));
}

export const ACTIVATIONS: Record<AttentionActivation, (x: number) => number> = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

export function normalizedByDefinition(row: Numbers, [gamma, beta]: Numbers[]): number[] {
  const mean = sum(row) / row.length;
  const variance = sum(row.map((value) => (value - mean) ** 2)) / row.length;
  return row.map((value, d) => ((value - mean) / Math.sqrt(variance + 1e-3)) * gamma![d]! + beta![d]!);
}

const sum = (values: Numbers): number => values.reduce((total, value) => total + value, 0);
export const range = <T>(n: number, of: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => of(i));
export const dot = (a: Numbers, b: Numbers): number => sum(a.map((value, i) => value * b[i]!));
/** The i-th run of `size` numbers. */
export const part = (values: Numbers, i: number, size: number): Numbers => values.slice(i * size, (i + 1) * size);
/** xᵀ M, for M of `columns`, flat. */
export const mapped = (x: Numbers, M: Numbers, columns: number): number[] =>
  range(columns, (j) => sum(x.map((value, i) => value * M[i * columns + j]!)));
export const plus = (a: Numbers, b: Numbers): number[] => a.map((value, i) => value + b[i]!);
export const times = (a: Numbers, b: Numbers): number[] => a.map((value, i) => value * b[i]!);
