/**
 * What becomes of an embedding's rows, from the shapes of its inputs and what its author asked for: one row, a list
 * combined to one row, or a sequence.
 */
import type { Usage } from "../../job/manifest.ts";

type Pooled = Extract<Usage, { kind: "pooled" }>;
/**
 * How the rows of a list of keys become one: their sum, their mean, or the sum over √n.
 *
 * @useDeclaredType
 */
export type Combiner = Pooled["combiner"];
/**
 * Which places of a sequence the layers behind leave out: none, those after its last key, or those whose key is 0 too.
 *
 * @useDeclaredType
 */
export type SequenceMask = Extract<Usage, { kind: "sequence" }>["mask"];

/** The options of an embedding that a usage depends on. */
export interface UsageWish {
  table: string;
  combiner: Combiner | undefined;
  mask: SequenceMask | undefined;
}

interface NamedShape {
  name: string;
  /** Without the batch. */
  shape: readonly (number | null)[];
}

/** @throws {TypeError} shapes and options that do not fit each other, naming the input */
export function usageOf(wish: UsageWish, ids: NamedShape, weights: NamedShape | undefined): Usage {
  const { table, combiner, mask } = wish;
  const fail = (what: string): never => {
    throw new TypeError(`embedding of table "${table}": ${what}`);
  };
  const [length = 1, ...more] = ids.shape;
  if (more.length > 0) {
    return fail(
      `input "${ids.name}" has the shape ${shapeText(ids)}; keys come one by one ([1]), as a sequence ([20]) or ` +
        `as a list ([null])`,
    );
  }
  if (weights) {
    if (combiner === undefined)
      return fail(`weights "${weights.name}" need a combiner: give combiner: "sum", "mean" or "sqrtn"`);
    if (weights.shape.length !== 1 || weights.shape[0] !== length)
      return fail(
        `weights "${weights.name}" have the shape ${shapeText(weights)} and keys "${ids.name}" ${shapeText(ids)}; ` +
          `give both one shape`,
      );
  }
  if (combiner !== undefined) {
    if (mask !== undefined) return fail(`a mask marks places of a sequence, and combiner: "${combiner}" leaves none`);
    if (length === 1)
      return fail(
        `input "${ids.name}" gives one key, and combiner: "${combiner}" combines a list; ` +
          `give the input shape: [null], or leave the combiner out`,
      );
    return {
      kind: "pooled",
      combiner,
      ...(weights ? { weights: weights.name } : {}),
      ...(length === null ? {} : { length }),
    };
  }
  if (length === null)
    return fail(
      `input "${ids.name}" gives lists of any length; combine them with combiner: "mean" (or "sum", "sqrtn"), ` +
        `or give the input a length, as shape: [20], for a sequence`,
    );
  if (length === 1 && (mask === undefined || mask === "none")) return { kind: "one" };
  return { kind: "sequence", length, mask: mask ?? "padding" };
}

function shapeText({ shape }: NamedShape): string {
  return `[${shape.map(String).join(", ")}]`;
}
