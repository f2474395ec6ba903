/**
 * The author's words for fields. Each returns plain data (see data-spec.ts); nothing is read here. A column's name may
 * stand wherever a field is expected. A field carries the names of its columns in its type, so that the compiler finds
 * a misspelt one where the data set declares its columns.
 */
import { LIMITS } from "../../limits.ts";
import { checkedColumn, checkNumber, checkOptions, checkValue, checkWhole, show } from "./author-argument.ts";
import type { DatePart, FieldSpec } from "../spec/data-spec.ts";

declare const columnsOfType: unique symbol;
declare const givesOfType: unique symbol;

/** What remembers, for the compiler alone, which columns `C` a part of a data set reads. */
export interface ReadsColumns<C extends string> {
  readonly [columnsOfType]?: C | undefined;
}

/** Keys, for an embedding; or numbers, for the dense tower. */
export type Gives = "keys" | "numbers";

/** What remembers, for the compiler alone, what a field gives. */
export interface GivesValues<G extends Gives> {
  readonly [givesOfType]?: G | undefined;
}

/** A field made of the columns `C`, as `hourOf("date")`. It gives keys or numbers, as its input wants, or only `G`. */
export type Field<C extends string = string, G extends Gives = Gives> = FieldSpec & ReadsColumns<C> & GivesValues<G>;

/** A field, or the name of a column that is taken as it is. */
export type FieldLike<C extends string = string> = C | Field<C>;

/** The columns of which a field, or the name of one, is made; `never` where its type does not say. */
export type ColumnsIn<P> = P extends string
  ? P
  : P extends ReadsColumns<infer C>
    ? string extends C
      ? never
      : unknown extends C
        ? never
        : C
    : never;

/** What a field, or the column of a name, may give. */
export type GivesOf<P> = P extends string
  ? Gives
  : P extends GivesValues<infer G>
    ? unknown extends G
      ? Gives
      : G
    : Gives;

/**
 * The column as it is: strings are hashed to keys, integers are keys themselves; or numbers, if an input wants numbers.
 * The column's name by itself means the same.
 *
 * @throws {TypeError} no column's name, of this and every other field
 */
export function column<const C extends string>(name: C): { kind: "column"; column: C } & ReadsColumns<C> {
  return { kind: "column", column: checkedColumn(name, "column") };
}

/**
 * One key for each combination of the parts: their values are hashed together.
 *
 * @throws {RangeError} fewer than 2 parts, or more than 16
 * @see tf.feature_column.crossed_column
 * @example cross("origin", "destination", hourOf("date"))
 */
export function cross<const P extends readonly FieldLike[]>(...parts: P): Field<ColumnsIn<P[number]>, "keys"> {
  if (parts.length < 2 || parts.length > 16) {
    throw new RangeError(
      `cross() takes 2 to 16 columns or fields, got ${parts.length}; for a single one use column("…") or hash("…")`,
    );
  }
  return { kind: "cross", of: parts.map((part) => fieldOf(part, "cross()")) };
}

/**
 * The key of `part`, hashed with the field's salt: for integers that share an embedding table with other fields.
 * Fields of one `salt` share a vocabulary: the same value is the same key in each of them.
 *
 * @example { seen: hash("seen", { salt: "item" }), item: hash("item", { salt: "item" }) }
 */
export function hash<const P extends FieldLike>(part: P, options: { salt?: string } = {}): Field<ColumnsIn<P>, "keys"> {
  checkOptions("hash", options, ["salt"]);
  const { salt } = options;
  const of = fieldOf(part, "hash()");
  if (salt === undefined) return { kind: "hash", of };
  if (typeof salt !== "string" || salt.length > 200)
    throw new TypeError(`hash(): salt is ${show(salt)}; expected a name of at most 200 characters`);
  return { kind: "hash", of, salt };
}

/** The hour of the day, 0–23, UTC: a key, or a number. */
export function hourOf<const C extends string>(dateColumn: C): Field<C> {
  return datePart(dateColumn, "hour", "hourOf");
}

/** The slot of 10 minutes in the day, 0–143, UTC: a key, or a number. */
export function slotOf<const C extends string>(dateColumn: C): Field<C> {
  return datePart(dateColumn, "slot10", "slotOf");
}

/** The minute of the day, 0–1439, UTC: a key, or a number. */
export function minuteOfDay<const C extends string>(dateColumn: C): Field<C> {
  return datePart(dateColumn, "minuteOfDay", "minuteOfDay");
}

/** The day of the week, 0–6 from Sunday, UTC: a key, or a number. */
export function dayOfWeek<const C extends string>(dateColumn: C): Field<C> {
  return datePart(dateColumn, "dayOfWeek", "dayOfWeek");
}

/** The day of the month, 1–31, UTC: a key, or a number. */
export function dayOfMonth<const C extends string>(dateColumn: C): Field<C> {
  return datePart(dateColumn, "dayOfMonth", "dayOfMonth");
}

/** The month, 1–12, UTC: a key, or a number. */
export function monthOf<const C extends string>(dateColumn: C): Field<C> {
  return datePart(dateColumn, "month", "monthOf");
}

function datePart<C extends string>(dateColumn: C, part: DatePart, call: string): Field<C> {
  return { kind: "datePart", column: checkedColumn(dateColumn, call), part };
}

/**
 * floor(x / width): a key, or a number.
 *
 * @throws {RangeError} a width that is not above 0
 */
export function bucket<const P extends FieldLike>(part: P, width: number): Field<ColumnsIn<P>> {
  const of = fieldOf(part, "bucket()");
  checkNumber({ call: "bucket", name: "width", value: width, range: "above 0", remedy: "give a width above 0, as 50" });
  return { kind: "bucket", of, width };
}

/**
 * The place of x among `count` buckets that hold about as many training rows each, from 0: a key, or a number. The
 * edges are fitted when the job is submitted. Equal edges are one, so there are fewer buckets where a value is frequent.
 *
 * @throws {RangeError} a count below 2 or over the limit
 */
export function quantiles<const P extends FieldLike>(part: P, count: number): Field<ColumnsIn<P>> {
  const of = fieldOf(part, "quantiles()");
  checkWhole({ call: "quantiles", name: "count", value: count, min: 2, max: LIMITS.quantilesMax });
  return { kind: "quantiles", of, buckets: count };
}

/**
 * (x − mean) / stddev, as a number for the dense tower. Without `mean` and `stddev` both are those of the training
 * rows, fitted when the job is submitted.
 *
 * @throws {RangeError} a stddev that is not above 0
 * @see Keras's Normalization
 */
export function standardise<const P extends FieldLike>(
  part: P,
  fitted?: { mean: number; stddev: number },
): Field<ColumnsIn<P>, "numbers"> {
  const of = fieldOf(part, "standardise()");
  if (fitted === undefined) return { kind: "standardise", of };
  checkOptions("standardise", fitted, ["mean", "stddev"]);
  const { mean, stddev } = fitted;
  checkNumber({ call: "standardise", name: "mean", value: mean });
  checkNumber({
    call: "standardise",
    name: "stddev",
    value: stddev,
    range: "above 0",
    remedy: "leave a constant column out of the fields",
  });
  return { kind: "standardise", of, mean, stddev };
}

/**
 * ln(x + plus), as a number: plus is 1 unless given, so that counts from 0 have logarithms.
 *
 * @example standardise(logOf("price"))
 */
export function logOf<const P extends FieldLike>(
  part: P,
  options: { plus?: number } = {},
): Field<ColumnsIn<P>, "numbers"> {
  checkOptions("logOf", options, ["plus"]);
  const { plus = 1 } = options;
  checkNumber({ call: "logOf", name: "plus", value: plus });
  return { kind: "log", of: fieldOf(part, "logOf()"), plus };
}

/**
 * x, or the nearer of `min` and `max` where x lies outside of them, as a number.
 *
 * @throws {RangeError} min above max
 */
export function clip<const P extends FieldLike>(
  part: P,
  bounds: { min: number; max: number },
): Field<ColumnsIn<P>, "numbers"> {
  checkOptions("clip", bounds, ["min", "max"]);
  const { min, max } = bounds;
  checkNumber({ call: "clip", name: "min", value: min });
  checkNumber({ call: "clip", name: "max", value: max });
  if (min > max) throw new RangeError(`clip(): min ${min} is above max ${max}; write the smaller one as min`);
  return { kind: "clip", of: fieldOf(part, "clip()"), min, max };
}

/**
 * `value` where the part is missing: an empty cell, a null, a NaN or an empty list. Without it such a row is a bad row.
 *
 * @example standardise(withDefault("age", 40))
 */
export function withDefault<const P extends FieldLike>(
  part: P,
  value: string | number,
): Field<ColumnsIn<P>, GivesOf<P>> {
  checkValue({ call: "withDefault", name: "value", value });
  return { kind: "withDefault", of: fieldOf(part, "withDefault()"), value };
}

/**
 * A string cut at each `separator` to a list of keys, as "Action|Comedy" at "|"; empty parts are left out.
 *
 * @throws {TypeError} a separator that is not 1 to 10 characters
 */
export function split<const C extends string>(stringColumn: C, separator: string): Field<C, "keys"> {
  const name = checkedColumn(stringColumn, "split");
  if (typeof separator !== "string" || separator.length < 1 || separator.length > 10)
    throw new TypeError(`split(): separator is ${show(separator)}; expected 1 to 10 characters, as "|"`);
  return { kind: "split", column: name, separator };
}

/**
 * A list of `count` keys drawn uniformly from 0 … vocabulary − 1, anew for each sample and epoch: the negatives a
 * ranking loss compares the sample's own key with.
 *
 * @throws {RangeError} a count or vocabulary below 1 or over the limit
 * @example negatives({ count: 4, vocabulary: 1682 })
 */
export function negatives(options: { count: number; vocabulary: number }): Field<never, "keys"> {
  checkOptions("negatives", options, ["count", "vocabulary"]);
  const { count, vocabulary } = options;
  checkWhole({ call: "negatives", name: "count", value: count, min: 1, max: LIMITS.sequenceLengthMax });
  checkWhole({
    call: "negatives",
    name: "vocabulary",
    value: vocabulary,
    min: 1,
    max: Number.MAX_SAFE_INTEGER,
  });
  return { kind: "negatives", count, vocabulary };
}

/**
 * The field that an author's word stands for.
 *
 * @param place what the message begins with, as "cross()"
 * @throws {TypeError} neither a column's name nor a field
 */
export function fieldOf(part: FieldLike, place: string): FieldSpec {
  if (typeof part === "string") return { kind: "column", column: checkedColumn(part, place) };
  if (typeof part === "object" && part !== null && "kind" in part) return part;
  throw new TypeError(`${place}: ${show(part)} is no field; write a column's name or a field, as hourOf("date")`);
}
