/**
 * Random numbers from a seed, for tests and the simulation: sfc32 (C. Doty-Humphrey, PractRand), warmed up as its
 * author does.
 */
export interface SeededRandom {
  /** In [0, 1). */
  next(): number;
  /** In [min, max). */
  between(range: { min: number; max: number }): number;
  /** A whole number below `n`. */
  below(n: number): number;
}

/** @param seed u32 */
export function seededRandom(seed: number): SeededRandom {
  let a = 0;
  let b = seed >>> 0;
  let c = 0x9e3779b9;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return {
    next,
    between: ({ min, max }) => min + (max - min) * next(),
    below: (n) => Math.floor(n * next()),
  };
}
