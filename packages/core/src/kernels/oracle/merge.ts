/** What merging the slots of a step must give: a map from key to sum, filled run by run, then sorted. */

/** One slot's keys, unique and ascending, and its gradients, shape [keys, dim]. */
export interface Run {
  readonly keys: readonly bigint[];
  readonly values: Float32Array;
}

/** The union of the keys, ascending, and the sums of their rows in the order of the runs. */
export function mergedRuns(runs: readonly Run[], dim: number): { keys: bigint[]; values: Float32Array } {
  const sums = new Map<bigint, Float32Array>();
  for (const { keys, values } of runs) {
    for (const [i, key] of keys.entries()) {
      const row = values.slice(i * dim, (i + 1) * dim);
      const sum = sums.get(key);
      sums.set(key, sum === undefined ? row : sum.map((x, d) => x + row[d]!));
    }
  }
  const keys = [...sums.keys()].toSorted((a, b) => (a < b ? -1 : 1));
  return { keys, values: Float32Array.from(keys.flatMap((key) => [...sums.get(key)!])) };
}
