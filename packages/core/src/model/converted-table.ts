/**
 * What the table of a converted tf.layers.embedding has: its width, mask and first values, and the bounds that mean the
 * same for a table as they did for the layer.
 */
import type { layers } from "@tensorflow/tfjs-layers";
import type { InitializerSpec } from "../table/table-spec.ts";
import type { EmbeddingArgs } from "./layers/embedding.ts";
import { constant, normal, truncatedNormal, uniform, zeros } from "./layers/initializer.ts";

/** What an author may say of a table; the rest follows from its layer. */
export type ConvertedTable = { name?: string } & Pick<EmbeddingArgs, "optimizer" | "l2" | "maxNorm" | "clip">;

interface Described {
  className: string;
  config: Record<string, unknown>;
}

/**
 * The arguments of the Volary embedding that means the same as a tf.layers.embedding, but for its table's name.
 *
 * @throws {TypeError} a regularizer or constraint that a table cannot have
 */
export function embeddingArgsOf(
  layer: layers.Layer,
  { l2, maxNorm, clip }: ConvertedTable,
): Omit<EmbeddingArgs, "table"> {
  const config = layer.getConfig() as unknown as {
    outputDim: number;
    maskZero?: boolean;
    embeddingsInitializer: Described;
    embeddingsRegularizer?: Described | null;
    embeddingsConstraint?: Described | null;
  };
  if (l2 === undefined) refuseRegularizer(layer.name, config.embeddingsRegularizer);
  const norm = maxNorm ?? maxNormOf(layer.name, config.embeddingsConstraint);
  return {
    name: layer.name,
    dim: config.outputDim,
    initializer: initializerOf(config.embeddingsInitializer),
    mask: config.maskZero === true ? "zero-key" : "none",
    ...(l2 === undefined ? {} : { l2 }),
    ...(norm === undefined ? {} : { maxNorm: norm }),
    ...(clip === undefined ? {} : { clip }),
  };
}

/** tfjs's penalty pulls at every row in every step; a table's, at those that the step uses. */
function refuseRegularizer(name: string, regularizer: Described | null | undefined): void {
  if (!regularizer) return;
  const { l1 = 0, l2 = 0 } = regularizer.config as { l1?: number; l2?: number };
  if (regularizer.className === "L1L2" && l1 === 0 && l2 === 0) return;
  throw new TypeError(
    `embedding layer "${name}" has an embeddingsRegularizer, which changes every row in every step; a table changes ` +
      `only the rows a step uses. Leave it out, or accept that with tables: { "${name}": { l2: ${2 * l2 || 1e-6} } } ` +
      `(l2 · weights is added to the gradient of used rows)`,
  );
}

/** Each row's length, which is axis 1, can be bounded where it changes: when it is updated. */
function maxNormOf(name: string, constraint: Described | null | undefined): number | undefined {
  if (!constraint) return undefined;
  const { maxValue, axis } = constraint.config as { maxValue?: number; axis?: number };
  if (constraint.className === "MaxNorm" && (axis === 1 || axis === -1)) return maxValue;
  throw new TypeError(
    `embedding layer "${name}" has the embeddingsConstraint ${JSON.stringify(constraint)}; a table can bound the length ` +
      `of each row only, as tf.constraints.maxNorm({ maxValue: 1, axis: 1 }) does`,
  );
}

/**
 * Checks that the rows a table starts from are within its bound: one that no sample uses would never be scaled.
 *
 * @throws {TypeError} naming the first that is not
 */
export function checkLengths(o: { layer: layers.Layer; values: Float32Array; dim: number; maxNorm: number }): void {
  const { layer, values, dim, maxNorm } = o;
  for (let at = 0; at < values.length; at += dim) {
    let squares = 0;
    for (let d = at; d < at + dim; d++) squares += values[d]! ** 2;
    const length = Math.sqrt(squares);
    if (length <= maxNorm * (1 + 1e-5)) continue;
    throw new TypeError(
      `embedding layer "${layer.name}": row ${at / dim} has the length ${length.toPrecision(4)}, over its maxNorm ` +
        `${maxNorm}, and would keep it until it is used; scale the layer's weights first`,
    );
  }
}

/** Of keys that the layer had no row for; tfjs's other initializers depend on the number of rows. */
function initializerOf({ className, config }: Described): InitializerSpec {
  const numbers = config as Record<string, number>;
  switch (className) {
    case "Zeros":
      return zeros();
    case "Ones":
      return constant(1);
    case "Constant":
      return constant(numbers.value!);
    case "RandomUniform":
      return uniform({ min: numbers.minval!, max: numbers.maxval! });
    case "RandomNormal":
      return normal({ mean: numbers.mean!, stddev: numbers.stddev! });
    case "TruncatedNormal":
      return truncatedNormal({ mean: numbers.mean!, stddev: numbers.stddev! });
    default:
      return uniform();
  }
}
