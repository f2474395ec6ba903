/** Checks that speak to the author of a job: the place, what is wrong, what to write instead. */
import type { z } from "zod";
import { didYouMean, quoted } from "../../data/spec/nearest-name.ts";

/** @throws {TypeError} naming the first key that is not `known`, and the nearest that is */
export function refuseUnknownKeys(place: string, given: object, known: readonly string[]): void {
  const odd = Object.keys(given).find((key) => !known.includes(key));
  if (odd === undefined) return;
  throw new TypeError(`${place}: "${odd}" is unknown; there are ${quoted(known)}.${didYouMean(odd, known)}`);
}

/** @throws {TypeError} naming the value, the choices and the nearest of them */
export function checkChoice<T extends string>(
  place: string,
  value: unknown,
  choices: readonly T[],
): asserts value is T {
  if ((choices as readonly unknown[]).includes(value)) return;
  const near = typeof value === "string" ? didYouMean(value, choices) : "";
  throw new TypeError(`${place} is ${shown(value)}; use one of ${quoted(choices)}.${near}`);
}

/** A value in a message; of a function its name, not its code. */
const shown = (value: unknown): string =>
  typeof value === "function" ? `function ${value.name || "without a name"}` : (JSON.stringify(value) ?? String(value));

/** @throws {RangeError} naming the value, its limits and a usual one */
export function checkInteger(
  place: string,
  value: unknown,
  { min, max, usual }: { min: number; max: number; usual: number },
): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return;
  throw new RangeError(
    `${place} is ${JSON.stringify(value) ?? String(value)}; it must be an integer from ${min} to ${max}, as ${usual}`,
  );
}

/** @throws {TypeError} naming the first part that is wrong */
export function checked<T>(place: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new TypeError(`${[place, ...issue.path].join(".")}: ${issue.message}`, { cause: parsed.error });
}

/** @throws {TypeError} naming the value */
export function checkObject(place: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null) return;
  throw new TypeError(`${place} is ${JSON.stringify(value) ?? String(value)}; it must be an object`);
}
