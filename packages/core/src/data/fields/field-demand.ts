/**
 * What fields can give, as far as their specs tell: checked before any data is there, so that a model that wants
 * numbers of a hash is refused where it is written.
 */
import type { DataSpec, DatePart, FieldSpec, LabelSpec } from "../spec/data-spec.ts";
import type { FieldDemand } from "../spec/dataset.ts";
import { didYouMean, quoted } from "../spec/nearest-name.ts";

/** @throws {TypeError} a field that is not there, is demanded twice in one way, or cannot give what is demanded */
export function checkDemands(spec: DataSpec, demands: readonly FieldDemand[]): void {
  const seen = new Set<string>();
  const fields = Object.keys(spec.fields);
  for (const demand of demands) {
    const { name, as } = demand;
    if (seen.has(`${as} ${name}`)) throw new TypeError(`field "${name}" is demanded twice as ${as}; name it once`);
    seen.add(`${as} ${name}`);
    if (!Object.hasOwn(spec.fields, name)) {
      throw new TypeError(
        `the model reads a field "${name}", which the data spec does not have; it has ${quoted(fields)}.` +
          `${didYouMean(name, fields)} Fields are named in parquet(…, { fields: { … } })`,
      );
    }
    checkFieldDemand({ place: `field "${name}"`, spec: spec.fields[name]!, as });
    checkFitted(`field "${name}"`, spec.fields[name]!);
  }
  const others = { weight: { spec: spec.weight, as: "numbers" }, group: { spec: spec.group, as: "keys" } } as const;
  for (const [place, { spec: other, as }] of Object.entries(others)) {
    if (other === undefined) continue;
    checkFieldDemand({ place, spec: other, as });
    checkFitted(place, other);
  }
}

/**
 * Whether a field of this spec can give what a model wants of it, whatever the data.
 *
 * @param o.place what the message begins with, as `field "age"`
 * @throws {TypeError} it cannot; the message says what to write instead
 */
function checkFieldDemand(o: { place: string; spec: FieldSpec; as: FieldDemand["as"] }): void {
  const { place, spec, as } = o;
  if (spec.kind === "negatives") {
    if (as === "keyLists") return;
    const wanted = as === "keys" ? "one key a sample is" : "numbers are";
    throw new TypeError(
      `${place}: negatives() gives a list of ${spec.count} keys, and ${wanted} wanted here: ` +
        `write input({ shape: [${spec.count}] }) and give it an embedding`,
    );
  }
  const leaf = unaryLeaf(spec);
  if (as === "keys" && leaf.kind === "split") {
    throw new TypeError(
      `${place}: split() gives lists of keys, and one key a sample is wanted here: write input({ shape: [null] }) ` +
        `and give its embedding() a combiner`,
    );
  }
  checkPart(place, spec, as === "keys" || as === "keyLists" ? "keys" : "numbers");
}

function checkPart(place: string, spec: FieldSpec, as: "keys" | "numbers"): void {
  switch (spec.kind) {
    case "column":
    case "datePart":
      return;
    case "bucket":
    case "quantiles":
      checkPart(place, spec.of, "numbers");
      return;
    case "standardise":
    case "log":
    case "clip":
      if (as === "keys") {
        throw new TypeError(
          `${place}: ${callOf(spec)} gives numbers, and keys are wanted here: use bucket() or quantiles() for an embedding, or input({ dtype: "float32" }) without one`,
        );
      }
      checkPart(place, spec.of, "numbers");
      return;
    case "hash":
    case "cross":
      if (as === "numbers") throw givesKeys(place, spec);
      for (const part of spec.kind === "hash" ? [spec.of] : spec.of) {
        if (spec.kind === "cross" && unaryLeaf(part).kind === "split")
          throw new TypeError(`${place}: cross() takes parts of one key a sample, and split() gives lists`);
        checkPart(place, part, "keys");
      }
      return;
    case "withDefault":
      if (spec.of.kind === "hash" || spec.of.kind === "cross") {
        throw new TypeError(
          `${place}: withDefault() of ${callOf(spec.of)} says no value to hash; write it inside, as ` +
            `${spec.of.kind}(withDefault("city", "none")${spec.of.kind === "cross" ? ", …" : ""})`,
        );
      }
      checkPart(place, spec.of, as);
      return;
    case "split":
      if (as === "numbers") throw givesKeys(place, spec);
      return;
    case "negatives":
      throw new TypeError(`${place}: negatives() stands alone; it cannot be part of another field`);
    default:
      spec satisfies never;
  }
}

function givesKeys(place: string, spec: FieldSpec): TypeError {
  return new TypeError(
    `${place}: ${callOf(spec)} gives keys, and numbers are wanted here: give its input an embedding`,
  );
}

/** The part that a chain of parts of one part each ends in. */
export function unaryLeaf(spec: FieldSpec): FieldSpec {
  return "of" in spec && !Array.isArray(spec.of) ? unaryLeaf(spec.of) : spec;
}

/** The first part whose numbers are still to be fitted to the training rows. */
export function unfittedPart(spec: FieldSpec): Extract<FieldSpec, { kind: "standardise" | "quantiles" }> | undefined {
  if (spec.kind === "standardise" && (spec.mean === undefined || spec.stddev === undefined)) return spec;
  if (spec.kind === "quantiles" && spec.edges === undefined) return spec;
  if (!("of" in spec)) return undefined;
  for (const part of Array.isArray(spec.of) ? spec.of : [spec.of]) {
    const found = unfittedPart(part);
    if (found !== undefined) return found;
  }
  return undefined;
}

function checkFitted(place: string, spec: FieldSpec): void {
  const part = unfittedPart(spec);
  if (part === undefined) return;
  const remedy = part.kind === "standardise" ? "give { mean, stddev }" : "give them with fitFields()";
  const lacks = part.kind === "standardise" ? "no mean and stddev" : "no edges";
  throw new TypeError(
    `${place}: ${callOf(part)} has ${lacks} yet: submit the job through a cluster, which fits them to the training ` +
      `rows, or ${remedy}`,
  );
}

const DATE_CALLS = {
  hour: "hourOf()",
  slot10: "slotOf()",
  minuteOfDay: "minuteOfDay()",
  dayOfWeek: "dayOfWeek()",
  dayOfMonth: "dayOfMonth()",
  month: "monthOf()",
} as const satisfies Record<DatePart, string>;

/** The author's word for a spec, in messages. */
export function callOf(spec: FieldSpec): string {
  if (spec.kind === "log") return "logOf()";
  return spec.kind === "datePart" ? DATE_CALLS[spec.part] : `${spec.kind}()`;
}

/** The columns a spec reads, each once, ascending. */
export function columnsOf(spec: DataSpec): string[] {
  const columns = new Set<string>();
  if (spec.label !== undefined) for (const name of labelColumns(spec.label)) columns.add(name);
  if (spec.test !== undefined && "column" in spec.test) columns.add(spec.test.column);
  for (const field of [...Object.values(spec.fields), spec.weight, spec.group])
    if (field !== undefined) addColumns(field, columns);
  return [...columns].toSorted();
}

function labelColumns(label: LabelSpec): readonly string[] {
  if (label.kind === "columns") return label.columns;
  return label.kind === "constant" ? [] : [label.column];
}

function addColumns(spec: FieldSpec, columns: Set<string>): void {
  if ("column" in spec) columns.add(spec.column);
  if (!("of" in spec)) return;
  for (const part of Array.isArray(spec.of) ? spec.of : [spec.of]) addColumns(part, columns);
}
