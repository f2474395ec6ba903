/** Checks on what the author of a data set writes: the call, what is wrong with the argument, what to write instead. */
import { didYouMean, quoted } from "../spec/nearest-name.ts";

/** @throws {TypeError} no string of 1 to 200 characters */
export function checkedColumn<C extends string>(name: C, place: string): C {
  if (typeof name === "string" && name.length >= 1 && name.length <= 200) return name;
  const reason =
    typeof name === "string" ? `a column's name of ${name.length} characters (1 to 200 are allowed)` : show(name);
  throw new TypeError(`${place}: got ${reason}; expected the name of a column, as "origin"`);
}

/** @throws {RangeError} no finite number, or one that is not above 0 where `above0` */
export function checkNumber(check: {
  call: string;
  name: string;
  value: unknown;
  remedy?: string;
  range?: "any" | "above 0";
}): void {
  const { call, name, value, remedy, range = "any" } = check;
  if (typeof value === "number" && Number.isFinite(value) && (range === "any" || value > 0)) return;
  const wanted = range === "any" ? "a finite number" : "a finite number above 0";
  throw new RangeError(
    `${call}(): ${name} must be ${wanted}, got ${show(value)}${remedy === undefined ? "" : `; ${remedy}`}`,
  );
}

/** @throws {RangeError} no whole number within its limits */
export function checkWhole(check: { call: string; name: string; value: unknown; min: number; max: number }): void {
  const { call, name, value, min, max } = check;
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${call}(): ${name} must be a whole number from ${min} to ${max}, got ${show(value)}`);
}

/** @throws {TypeError} neither a string nor a finite number */
export function checkValue({ call, name, value }: { call: string; name: string; value: unknown }): void {
  if (typeof value === "string" || (typeof value === "number" && Number.isFinite(value))) return;
  throw new TypeError(`${call}(): ${name} is ${show(value)}; expected a string or a finite number`);
}

/** @throws {TypeError} `options` is no object, or has a key that is not `known` */
export function checkOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new TypeError(`${call}(): the options are ${show(options)}; expected an object of ${quoted(known)}`);
  }
  const odd = Object.keys(options).find((key) => !known.includes(key));
  if (odd === undefined) return;
  throw new TypeError(`${call}(): "${odd}" is no option; there are ${quoted(known)}.${didYouMean(odd, known)}`);
}

/** A value in a message. */
export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return `the function ${value.name || "without a name"}`;
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return "an object that refers to itself";
  }
}
