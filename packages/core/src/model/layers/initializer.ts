/** What an author writes for the first values of a table's rows; the arithmetic is in `partition/`. */
import type { InitializerSpec } from "../../table/table-spec.ts";

/**
 * Uniform in [min, max), ±0.05 by default, as Keras embeddings are.
 *
 * @throws {RangeError} a number that is not finite, or min over max
 */
export function uniform({ min = -0.05, max = 0.05 }: { min?: number; max?: number } = {}): InitializerSpec {
  checkFinite("uniform", { min, max });
  if (min > max) throw new RangeError(`uniform(): min ${min} is over max ${max}; swap them`);
  return { kind: "uniform", min, max };
}

/**
 * Normal, with mean 0 and standard deviation 0.05 by default.
 *
 * @throws {RangeError} a number that is not finite, or a stddev below 0
 */
export function normal({ mean = 0, stddev = 0.05 }: { mean?: number; stddev?: number } = {}): InitializerSpec {
  checkSpread("normal", { mean, stddev });
  return { kind: "normal", mean, stddev };
}

/**
 * Normal, drawn again where it is more than two standard deviations off.
 *
 * @throws {RangeError} a number that is not finite, or a stddev below 0
 */
export function truncatedNormal({ mean = 0, stddev = 0.05 }: { mean?: number; stddev?: number } = {}): InitializerSpec {
  checkSpread("truncatedNormal", { mean, stddev });
  return { kind: "truncated-normal", mean, stddev };
}

/** All 0. */
export function zeros(): InitializerSpec {
  return { kind: "zeros" };
}

/**
 * All of one value.
 *
 * @throws {RangeError} a value that is not finite
 */
export function constant(value: number): InitializerSpec {
  checkFinite("constant", { value });
  return { kind: "constant", value };
}

function checkSpread(name: string, numbers: { mean: number; stddev: number }): void {
  checkFinite(name, numbers);
  if (numbers.stddev < 0) throw new RangeError(`${name}(): stddev is ${numbers.stddev}; it must be 0 or more`);
}

function checkFinite(name: string, numbers: Record<string, number>): void {
  for (const [option, value] of Object.entries(numbers)) {
    if (!Number.isFinite(value)) throw new RangeError(`${name}(): ${option} is ${value}; it must be a finite number`);
  }
}
