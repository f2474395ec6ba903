/** The author's words for labels and for the rows that are held out. */
import { LIMITS } from "../../limits.ts";
import { checkedColumn, checkNumber, checkOptions, checkValue, checkWhole, show } from "./author-argument.ts";
import type { LabelSpec, SplitSpec } from "../spec/data-spec.ts";
import type { ReadsColumns } from "./field-builders.ts";
import { filesOf, type FilesLike } from "./file-builders.ts";
import { microsOf } from "../fields/instant.ts";

/** A label made of the columns `C`. */
export type Label<C extends string = string> = LabelSpec & ReadsColumns<C>;
/** Held-out rows, told by the columns `C`. */
export type HeldOut<C extends string = string> = SplitSpec & ReadsColumns<C>;

/**
 * A label: 1 where the column is at least `threshold`, else 0.
 *
 * @throws {TypeError} a threshold that is no number
 */
export function atLeast<const C extends string>(numberColumn: C, threshold: number): Label<C> {
  checkNumber({ call: "atLeast", name: "threshold", value: threshold, remedy: 'write atLeast("delay", 15)' });
  return { kind: "atLeast", column: checkedColumn(numberColumn, "atLeast"), threshold };
}

/** A label: 1 where the column is `value`, else 0. */
export function equals<const C extends string>(name: C, value: string | number): Label<C> {
  checkValue({ call: "equals", name: "value", value });
  return { kind: "equals", column: checkedColumn(name, "equals"), value };
}

/**
 * A label: the place of the column's value in `values`, from 0. A row with another value is a bad row.
 *
 * @throws {TypeError} fewer than two values, or one twice
 */
export function classes<const C extends string>(name: C, values: readonly (string | number)[]): Label<C> {
  if (!Array.isArray(values) || values.length < 2)
    throw new TypeError(`classes(): the values are ${show(values)}; list at least two, as ["setosa", "virginica"]`);
  for (const [i, value] of values.entries()) {
    checkValue({ call: "classes", name: `values[${i}]`, value });
    if (values.indexOf(value) !== i)
      throw new TypeError(`classes(): values[${i}] is ${show(value)}, as an earlier one; a class has one number`);
  }
  return { kind: "classes", column: checkedColumn(name, "classes"), values: [...values] };
}

/** A label of several numbers: those of the columns, side by side. */
export function columns<const C extends string>(...names: readonly C[]): Label<C> {
  if (names.length === 0) throw new TypeError('columns(): name at least one column of numbers, as columns("x", "y")');
  return { kind: "columns", columns: names.map((name) => checkedColumn(name, "columns")) };
}

/** The same label for every row, for losses that compare a sample's own outputs, as "bpr". */
export function constantLabel(...values: readonly number[]): Label<never> {
  if (values.length === 0 || values.length > LIMITS.sequenceLengthMax)
    throw new TypeError(`constantLabel(): got ${values.length} numbers; give one for each output`);
  for (const [i, value] of values.entries()) checkNumber({ call: "constantLabel", name: `values[${i}]`, value });
  return { kind: "constant", values: [...values] };
}

/**
 * Holds out the rows whose date is at or after `instant`: ISO 8601, UTC where it names no zone.
 *
 * @throws {TypeError} an instant that is no text
 * @throws {RangeError} text that is no instant
 */
export function since<const C extends string>(dateColumn: C, instant: string): HeldOut<C> {
  if (typeof instant !== "string")
    throw new TypeError(`since(): the instant is ${show(instant)}; write it as "2001-06-13T08:02"`);
  microsOf(instant);
  return { kind: "since", column: checkedColumn(dateColumn, "since"), instant };
}

/**
 * Holds out this share of the rows, drawn by row number and `seed`.
 *
 * @throws {RangeError} a share that is not between 0 and 1
 */
export function fraction(share: number, options: { seed?: number } = {}): HeldOut<never> {
  if (typeof share !== "number" || !(share > 0 && share < 1))
    throw new RangeError(`fraction(): the share must lie between 0 and 1, got ${show(share)}; write 0.1 for a tenth`);
  checkOptions("fraction", options, ["seed"]);
  const { seed = 0 } = options;
  checkWhole({ call: "fraction", name: "seed", value: seed, min: 0, max: 0xffff_ffff });
  return { kind: "fraction", fraction: share, seed };
}

/** Holds out the rows whose column is `value`, or one of several. */
export function where<const C extends string>(
  name: C,
  value: string | number | readonly (string | number)[],
): HeldOut<C> {
  const values = Array.isArray(value) ? (value as readonly (string | number)[]) : [value as string | number];
  if (values.length === 0) throw new TypeError("where(): the list of values is empty; name those of the held-out rows");
  for (const each of values) checkValue({ call: "where", name: "value", value: each });
  return { kind: "where", column: checkedColumn(name, "where"), values: [...values] };
}

/** Holds out the rows of these files, which have the format of the others; all rows of the others are for training. */
export function heldOutFiles(files: FilesLike): HeldOut<never> {
  return { kind: "files", files: filesOf(files, "heldOutFiles") };
}
