/**
 * An embedding whose rows live on the parameter servers: any vocabulary, no `inputDim`, no weights in the model.
 * In the author's graph it is a layer like any other; `tower.ts` puts an input in its place before anything runs.
 */
import { serialization, Tensor } from "@tensorflow/tfjs-core";
import { layers, type SymbolicTensor } from "@tensorflow/tfjs-layers";
import type { z } from "zod";
import type { Usage } from "../../job/manifest.ts";
import { LIMITS } from "../../limits.ts";
import { optimizerSpecFrom, type OptimizerName, type OptimizerSpec } from "../../optimizer/index.ts";
import {
  initializerSpecSchema,
  tableSpecSchema,
  type AdmissionSpec,
  type EvictionSpec,
  type InitializerSpec,
  type TableSpec,
} from "../../table/table-spec.ts";
import { checkChoice, refuseUnknownKeys } from "./author-error.ts";
import { usageOf, type Combiner, type SequenceMask, type UsageWish } from "./embedding-usage.ts";
import { uniform } from "./initializer.ts";
import { dtypeOf, givesKeys } from "./input.ts";

/** What an embedding is: its table, the width of a row, and what becomes of a list of rows. */
export interface EmbeddingArgs {
  /** The table's name; embeddings that name one table share its rows. */
  table: string;
  /** Floats of a row. */
  dim: number;
  /** Combines the rows of a list of keys to one: their sum, their mean, or the sum over √n. */
  combiner?: Combiner;
  /**
   * Which places of a sequence the layers behind leave out, if they can: those after its last key ("padding", the
   * default), those whose key is 0 too ("zero-key"), or none. A sequence keeps its first keys where it has too many.
   */
  mask?: SequenceMask;
  /** As in tf.layers.embedding: the same as `mask: "zero-key"`. */
  maskZero?: boolean;
  /**
   * What the weights of a row are stored as, and so their bytes: 4 · dim as "float32", the default; 2 · dim as
   * "bfloat16"; dim + 8 as "int8", steps between the least and the greatest of the row. After an update they are
   * rounded up or down by a chance that keeps their mean, so that small updates are not lost; the chance is a hash of
   * the key and its number of updates, so that a run gives the same bits again. The optimizer's state stays float32.
   */
  dtype?: "float32" | "bfloat16" | "int8";
  /** First values of rows; `uniform()` by default. */
  initializer?: InitializerSpec;
  /** Of this table; `compile.sparseOptimizer` by default. */
  optimizer?: OptimizerName | OptimizerSpec;
  /** Each update of a row adds l2 · weights to its gradient. Rows that no sample of a step uses stay as they are. */
  l2?: number;
  /** After an update, a row longer than this is scaled to this length. */
  maxNorm?: number;
  /** Bounds on the gradient of one row, of each component and of its length. */
  clip?: NonNullable<TableSpec["clip"]>;
  /** Which keys get a row, as `afterUpdates(3)`; every key that is pushed by default. */
  admit?: AdmissionSpec;
  /** Which rows go, as `leastRecent({ rowsMax: 1e6 })`; none by default. */
  evict?: EvictionSpec;
  /** The layer's name. */
  name?: string;
}

const ARGS = [
  "table",
  "dim",
  "combiner",
  "mask",
  "maskZero",
  "dtype",
  "initializer",
  "optimizer",
  "l2",
  "maxNorm",
  "clip",
  "admit",
  "evict",
  "name",
] as const satisfies (keyof EmbeddingArgs)[];

/**
 * A layer that looks a field's rows up: of one key, [null, dim]; of a list, combined, [null, dim]; of a sequence,
 * [null, length, dim].
 *
 * @throws {RangeError} a `dim` that is no width
 * @throws {TypeError} anything else that is malformed
 * @see tf.layers.embedding; TorchRec's EmbeddingBagCollection and EmbeddingCollection
 * @example const rows = embedding({ table: "route", dim: 16 }).apply(route);
 * @example const tags = embedding({ table: "tag", dim: 8, combiner: "mean" }).apply([tagIds, tagWeights]);
 * @example const items = embedding({ table: "item", dim: 64, dtype: "bfloat16" }).apply(item);
 */
export function embedding(args: EmbeddingArgs): VolaryEmbedding {
  return new VolaryEmbedding(args);
}

const TABLE_NAME_CHARS_MAX = 200;

/** What a table has beside its name, width and initializer; undefined where the job's defaults serve. */
type TableOptions = Partial<
  Pick<TableSpec, "dtype" | "optimizer" | "l2" | "maxNorm" | "clip" | "admission" | "eviction">
>;

/** The layer that {@link embedding} makes. */
export class VolaryEmbedding extends layers.Layer {
  static className = "VolaryEmbedding";
  readonly table: string;
  readonly dim: number;
  readonly initializer: InitializerSpec;
  readonly tableOptions: Readonly<TableOptions>;
  readonly #wish: UsageWish;

  constructor(args: EmbeddingArgs) {
    checkArgs(args);
    super(args.name === undefined ? {} : { name: args.name });
    const { table, dim, combiner, mask, maskZero, dtype, optimizer, l2, maxNorm, clip, admit, evict } = args;
    this.table = table;
    this.dim = dim;
    this.initializer = args.initializer ?? uniform();
    this.tableOptions = {
      ...(dtype === undefined || dtype === "float32" ? {} : { dtype }),
      ...(optimizer === undefined ? {} : { optimizer: optimizerSpecFrom(optimizer) }),
      ...(l2 === undefined ? {} : { l2 }),
      ...(maxNorm === undefined ? {} : { maxNorm }),
      ...(clip === undefined ? {} : { clip }),
      ...(admit === undefined ? {} : { admission: admit }),
      ...(evict === undefined ? {} : { eviction: evict }),
    };
    this.#wish = { table, combiner, mask: maskZero === true ? "zero-key" : mask };
  }

  /**
   * @param inputs an `input()` of a field that gives keys, or that and an `input()` of their weights
   * @returns shape [null, dim], or [null, length, dim] of a sequence
   */
  override apply(inputs: SymbolicTensor | SymbolicTensor[]): SymbolicTensor {
    const tensors: unknown[] = Array.isArray(inputs) ? inputs : [inputs];
    if (tensors.some((tensor) => tensor instanceof Tensor)) this.call();
    const [ids, weights, ...more] = tensors;
    const place = `embedding of table "${this.table}"`;
    if (!isInput(ids) || (weights !== undefined && !isInput(weights)) || more.length > 0) {
      throw new TypeError(
        `${place}: apply it to an input(), or to [ids, weights], both input()s: keys cannot be computed`,
      );
    }
    if (!givesKeys(dtypeOf(ids))) {
      throw new TypeError(
        `${place}: input "${ids.sourceLayer.name}" is float32, which gives numbers, not keys; ` +
          `give it the dtype "int32", "int64" or "string" (bucket(…) makes keys of numbers)`,
      );
    }
    if (weights !== undefined && givesKeys(dtypeOf(weights))) {
      throw new TypeError(
        `${place}: input "${weights.sourceLayer.name}" is ${dtypeOf(weights)}, and the second input gives the weights ` +
          `of the keys; give it the dtype "float32"`,
      );
    }
    this.usageOn([ids, ...(weights === undefined ? [] : [weights])]);
    return super.apply(weights === undefined ? ids : [ids, weights]) as SymbolicTensor;
  }

  /**
   * What becomes of the rows where the layer is applied to these inputs.
   *
   * @throws {TypeError} shapes and options that do not fit
   */
  usageOn([ids, weights]: readonly SymbolicTensor[]): Usage {
    return usageOf(this.#wish, inputOf(ids!), weights && inputOf(weights));
  }

  override computeOutputShape(inputShape: Shape | Shape[]): Shape {
    const [ids, weights] = (Array.isArray(inputShape[0]) ? inputShape : [inputShape]) as Shape[];
    const named = (name: string, shape: Shape) => ({ name, shape: shape.slice(1) });
    const usage = usageOf(this.#wish, named("ids", ids!), weights && named("weights", weights));
    const batch = ids![0] ?? null;
    return usage.kind === "sequence" ? [batch, usage.length, this.dim] : [batch, this.dim];
  }

  override call(): never {
    throw new Error(
      `embedding of table "${this.table}": its rows live on the parameter servers, so the model cannot run by itself; ` +
        `train it with cluster.fit or \`volary train\`, and predict through the cluster`,
    );
  }

  override getConfig(): serialization.ConfigDict {
    const { dtype, optimizer, clip, l2, maxNorm, admission, eviction } = this.tableOptions;
    const { combiner, mask } = this.#wish;
    return {
      ...super.getConfig(),
      // tfjs rewrites every string of a config to snake_case and back, except one that is called `name`.
      table: { name: this.table },
      dim: this.dim,
      ...(combiner && { combiner: { name: combiner } }),
      ...(mask && { mask: { name: mask } }),
      ...(dtype && { dtype }),
      initializer: { ...this.initializer },
      ...(optimizer && { optimizer: { ...optimizer } as serialization.ConfigDict }),
      ...(clip && { clip: { ...clip } as serialization.ConfigDict }),
      ...(l2 !== undefined && { l2 }),
      ...(maxNorm !== undefined && { maxNorm }),
      ...(admission && { admit: { ...admission } }),
      ...(eviction && { evict: { ...eviction } as serialization.ConfigDict }),
    };
  }

  static override fromConfig<T extends serialization.Serializable>(
    cls: serialization.SerializableConstructor<T>,
    config: serialization.ConfigDict,
  ): T {
    const named = (key: string) => (config[key] as { name: string } | null | undefined)?.name;
    const kept = ARGS.filter((key) => config[key] !== undefined && config[key] !== null);
    return new cls({
      ...Object.fromEntries(kept.map((key) => [key, config[key]])),
      ...Object.fromEntries(["table", "combiner", "mask"].flatMap((key) => (named(key) ? [[key, named(key)]] : []))),
    });
  }
}
serialization.registerClass(VolaryEmbedding);

type Shape = (number | null)[];

/** Whether a layer is ours, even where it comes from another copy of this package. */
export function isEmbedding(layer: layers.Layer): layer is VolaryEmbedding {
  return layer.getClassName() === VolaryEmbedding.className;
}

function isInput(tensor: unknown): tensor is SymbolicTensor {
  return (tensor as SymbolicTensor | undefined)?.sourceLayer?.getClassName() === "InputLayer";
}

function inputOf({ sourceLayer, shape }: SymbolicTensor): { name: string; shape: Shape } {
  return { name: sourceLayer.name, shape: shape.slice(1) };
}

function checkArgs(args: EmbeddingArgs): void {
  refuseUnknownKeys("embedding()", args, ARGS);
  const { table, dim, combiner, mask, maskZero, dtype, initializer } = args;
  if (typeof table !== "string" || table === "" || table.length > TABLE_NAME_CHARS_MAX || table.startsWith("~")) {
    throw new TypeError(
      `embedding(): table is ${JSON.stringify(table)}; name it with 1 to ${TABLE_NAME_CHARS_MAX} characters, the first not "~"`,
    );
  }
  const place = `embedding of table "${table}"`;
  if (!Number.isInteger(dim) || dim < 1 || dim > LIMITS.dimMax) {
    throw new RangeError(`${place}: dim is ${dim}; it must be an integer from 1 to ${LIMITS.dimMax}, as dim: 16`);
  }
  if (combiner !== undefined) checkChoice(`${place}: combiner`, combiner, ["sum", "mean", "sqrtn"]);
  if (mask !== undefined) checkChoice(`${place}: mask`, mask, ["none", "padding", "zero-key"]);
  if (maskZero === true && mask !== undefined && mask !== "zero-key")
    throw new TypeError(`${place}: maskZero is true and mask "${mask}"; give one of them`);
  if (dtype !== undefined) checkChoice(`${place}: dtype`, dtype, ["float32", "bfloat16", "int8"]);
  if (initializer !== undefined) {
    checkSchema(initializerSpecSchema, initializer, {
      place: `${place}: initializer`,
      remedy: "make it with uniform(), normal(), truncatedNormal(), zeros() or constant()",
    });
  }
  const { l2, maxNorm, clip } = tableSpecSchema.shape;
  checkSchema(l2, args.l2, { place: `${place}: l2`, remedy: "it must be a number over 0, as 1e-6" });
  checkSchema(maxNorm, args.maxNorm, { place: `${place}: maxNorm`, remedy: "it must be a number over 0, as 1" });
  checkSchema(clip, args.clip, {
    place: `${place}: clip`,
    remedy: "give { value } or { norm }, or both, as numbers over 0",
  });
  const { admission, eviction } = tableSpecSchema.shape;
  checkSchema(admission, args.admit, { place: `${place}: admit`, remedy: "make it with afterUpdates(3)" });
  checkSchema(eviction, args.evict, {
    place: `${place}: evict`,
    remedy: "make it with leastRecent({ rowsMax: 1e6 }) or leastFrequent({ rowsMax: 1e6 })",
  });
}

function checkSchema(schema: z.ZodType, value: unknown, { place, remedy }: { place: string; remedy: string }): void {
  const checked = schema.safeParse(value);
  if (checked.success) return;
  throw new TypeError(`${place} is ${JSON.stringify(value)}; ${remedy}`, { cause: checked.error });
}
