/** What the kernels that check must give, in plain TypeScript. */

export function isFinite(values: Float32Array): boolean {
  return values.every(Number.isFinite);
}

/** The index of the first key that is not above the one before it, or -1. */
export function firstNotAscending(keys: readonly bigint[]): number {
  return keys.findIndex((key, i) => i > 0 && key <= keys[i - 1]!);
}
