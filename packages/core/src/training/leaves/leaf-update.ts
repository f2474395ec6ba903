/** What comes of a task that a volunteer was given. */
import type { DistinctRows, UsePlaces } from "./distinct-rows.ts";
import type { Refusal } from "./update-check.ts";

/** What a volunteer sent for a task: nothing of it is believed yet. */
export interface LeafUpdate {
  /** float32, shape [b, E]: of each row's sum all samples that have the row have an equal share. */
  readonly rowGrads: Float32Array;
  /** What it sent had another number of sums: there are no row gradients. */
  readonly wrong?: Refusal | undefined;
  /** Of its samples. */
  readonly distinct: DistinctRows;
  /** float32, all dense variables in order */
  readonly denseGrads: Float32Array;
  readonly lossSum: number;
  /** Milliseconds since the task was given, without those that other members of a group took. */
  readonly ms: number;
}

/** Floats of an update. */
export interface UpdateFloats {
  /** Of the rows of a sample, shape [U]. */
  readonly rows: readonly UsePlaces[];
  /** Of all dense variables. */
  readonly dense: number;
}

interface Arrived {
  readonly distinct: DistinctRows;
  /** What came; more than so many floats are not kept. */
  readonly rowSums?: Float32Array;
}

/** Which rows an update touches is not up to the volunteer: it says one sum for each row that its samples have. */
export function rowGradsOf({
  distinct,
  rowSums = NOTHING,
}: Arrived): Pick<LeafUpdate, "rowGrads" | "wrong" | "distinct"> {
  if (rowSums.length === distinct.floats) return { rowGrads: distinct.shares(rowSums), distinct };
  const message =
    `the update has ${rowSums.length} floats of row gradients; the ${distinct.count} rows of its samples ` +
    `have ${distinct.floats}`;
  return { rowGrads: NOTHING, wrong: { code: "UPDATE_SHAPE", message }, distinct };
}

/** The first ones, if there are more. */
export function atMost(floats: number, values: Float32Array): Float32Array {
  return values.length <= floats ? values : values.slice(0, floats);
}

export const NOTHING = new Float32Array(0);
