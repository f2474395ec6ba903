/**
 * An embedding whose rows live on the parameter servers: any vocabulary, no `inputDim`, no weights in the model.
 * In the author's graph it is a layer like any other; `tower.ts` puts an input in its place before anything runs.
 */
import { serialization, Tensor } from "@tensorflow/tfjs-core";
import { layers, type SymbolicTensor } from "@tensorflow/tfjs-layers";
import { LIMITS } from "../limits.ts";
import { optimizerSpecFrom, type OptimizerSpec } from "../optimizer/index.ts";
import { initializerSpecSchema, type InitializerSpec } from "../partition/table-spec.ts";
import { refuseUnknownKeys } from "./author-error.ts";
import { uniform } from "./initializer.ts";
import { dtypeOf, givesKeys } from "./input.ts";

export interface EmbeddingArgs {
  /** The table's name; embeddings that name one table share its rows. */
  table: string;
  /** Floats of a row. */
  dim: number;
  /** First values of rows; `uniform()` by default. */
  initializer?: InitializerSpec;
  /** Of this table; `compile.sparseOptimizer` by default. */
  optimizer?: string | OptimizerSpec;
  /** The layer's name. */
  name?: string;
}

/**
 * A layer that looks a field's rows up.
 *
 * @throws {RangeError} a `dim` that is no width
 * @throws {TypeError} anything else that is malformed
 * @example const rows = embedding({ table: "route", dim: 16 }).apply(route);
 */
export function embedding(args: EmbeddingArgs): VolaryEmbedding {
  return new VolaryEmbedding(args);
}

const TABLE_NAME_CHARS_MAX = 200;

export class VolaryEmbedding extends layers.Layer {
  static className = "VolaryEmbedding";
  readonly table: string;
  readonly dim: number;
  readonly initializer: InitializerSpec;
  /** Undefined where the job's sparse optimizer serves. */
  readonly optimizer: OptimizerSpec | undefined;

  constructor(args: EmbeddingArgs) {
    checkArgs(args);
    super(args.name === undefined ? {} : { name: args.name });
    this.table = args.table;
    this.dim = args.dim;
    this.initializer = args.initializer ?? uniform();
    this.optimizer = args.optimizer === undefined ? undefined : optimizerSpecFrom(args.optimizer);
  }

  /**
   * @param inputs made by `input()`, of a field that gives keys
   * @returns shape [null, dim]
   */
  override apply(inputs: SymbolicTensor): SymbolicTensor {
    const tensor: unknown = Array.isArray(inputs) && inputs.length === 1 ? inputs[0] : inputs;
    if (tensor instanceof Tensor) this.call();
    if (!isInput(tensor)) {
      throw new TypeError(
        `embedding of table "${this.table}": apply it to an input(), one at a time: keys cannot be computed`,
      );
    }
    if (!givesKeys(dtypeOf(tensor))) {
      throw new TypeError(
        `embedding of table "${this.table}": input "${tensor.sourceLayer.name}" is float32, which gives numbers, not keys; ` +
          `give it the dtype "int32", "int64" or "string" (bucket(…) makes keys of numbers)`,
      );
    }
    return super.apply(tensor) as SymbolicTensor;
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return [inputShape[0] ?? null, this.dim];
  }

  override call(): never {
    throw new Error(
      `embedding of table "${this.table}": its rows live on the parameter servers, so the model cannot run by itself; ` +
        `train it with cluster.fit or \`volary train\`, and predict through the cluster`,
    );
  }

  override getConfig(): serialization.ConfigDict {
    return {
      ...super.getConfig(),
      // tfjs rewrites every string of a config to snake_case and back, except one that is called `name`.
      table: { name: this.table },
      dim: this.dim,
      initializer: { ...this.initializer },
      ...(this.optimizer && { optimizer: { ...this.optimizer } }),
    };
  }

  static override fromConfig<T extends serialization.Serializable>(
    cls: serialization.SerializableConstructor<T>,
    config: serialization.ConfigDict,
  ): T {
    const { name, table, dim, initializer, optimizer } = config;
    return new cls({
      name,
      table: (table as { name: string }).name,
      dim,
      initializer,
      ...(optimizer ? { optimizer } : {}),
    });
  }
}
serialization.registerClass(VolaryEmbedding);

/** Whether a layer is ours, even where it comes from another copy of this package. */
export function isEmbedding(layer: layers.Layer): layer is VolaryEmbedding {
  return layer.getClassName() === VolaryEmbedding.className;
}

function isInput(tensor: unknown): tensor is SymbolicTensor {
  return (tensor as SymbolicTensor | undefined)?.sourceLayer?.getClassName() === "InputLayer";
}

function checkArgs(args: EmbeddingArgs): void {
  refuseUnknownKeys("embedding()", args, ["table", "dim", "initializer", "optimizer", "name"]);
  const { table, dim, initializer } = args;
  if (typeof table !== "string" || table === "" || table.length > TABLE_NAME_CHARS_MAX || table.startsWith("~")) {
    throw new TypeError(
      `embedding(): table is ${JSON.stringify(table)}; name it with 1 to ${TABLE_NAME_CHARS_MAX} characters, the first not "~"`,
    );
  }
  if (!Number.isInteger(dim) || dim < 1 || dim > LIMITS.dimMax) {
    throw new RangeError(
      `embedding of table "${table}": dim is ${dim}; it must be an integer from 1 to ${LIMITS.dimMax}, as dim: 16`,
    );
  }
  if (initializer === undefined) return;
  const checked = initializerSpecSchema.safeParse(initializer);
  if (checked.success) return;
  throw new TypeError(
    `embedding of table "${table}": initializer is ${JSON.stringify(initializer)}; ` +
      `make it with uniform(), normal(), truncatedNormal(), zeros() or constant()`,
    { cause: checked.error },
  );
}
