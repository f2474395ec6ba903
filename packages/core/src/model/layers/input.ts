/**
 * A field of the data as an input of the model. Underneath it is a tfjs input; tfjs stops at int32, so the dtype the
 * author wrote is remembered here: it tells whether the field gives keys or numbers.
 */
import { input as tfInput, type SymbolicTensor } from "@tensorflow/tfjs-layers";
import type { DataSource, FieldsOf } from "../../data/builders/source-builders.ts";
import { LIMITS } from "../../limits.ts";
import { checkChoice, refuseUnknownKeys } from "./author-error.ts";

/** `string`, `int32` and `int64` fields give keys, for an embedding; `float32` fields give numbers. */
export type InputDtype = "string" | "int32" | "int64" | "float32";

const INPUT_DTYPES: readonly InputDtype[] = ["string", "int32", "int64", "float32"];

/** tfjs makes tensor names of layer names, and takes only these. */
const LAYER_NAME = /^[A-Za-z0-9][-A-Za-z0-9._/]*$/;

const dtypes = new WeakMap<SymbolicTensor, InputDtype>();

/** Sizes without the batch, as in tfjs; `[null]` is a list of any length. */
export type InputShape = readonly (number | null)[];

/** Which field an input reads, and as what. */
export interface InputArgs<Name extends string = string, Dtype extends InputDtype = InputDtype> {
  /** The field of the data that is read. */
  name: Name;
  /** Keys: "string", "int32" or "int64", which say what the column holds. Numbers: "float32". */
  dtype: Dtype;
  /**
   * `[1]`, one key or number a sample, by default. Keys: `[20]` is a sequence of 20, `[null]` a list of any length.
   * Numbers: any sizes, as `[28, 28, 1]`; `[null]` for the weights of a list of keys.
   */
  shape?: InputShape;
}

/** The dtypes that the field `Name` of the data `D` can be read as. */
export type DtypeOf<D, Name extends string> =
  D extends DataSource<infer Fields, infer Keys, infer Numbers>
    ? string extends Fields
      ? InputDtype
      : Name extends Keys
        ? Exclude<InputDtype, "float32">
        : Name extends Numbers
          ? "float32"
          : InputDtype
    : InputDtype;

/**
 * {@link input} for the data `D`: the compiler refuses a field that the data has not, and a dtype that does not go with
 * what the field gives. A job's `model({ input })` is handed one.
 *
 * @example
 * const field: InputOf<typeof data> = input;
 * const route = field({ name: "route", dtype: "string" });
 */
export type InputOf<D> = <Name extends FieldsOf<D>>(args: InputArgs<Name, DtypeOf<D, Name>>) => SymbolicTensor;

/**
 * An input that reads the field `name` of the data.
 *
 * @returns shape [null, …shape], for the layers of the model
 * @throws {TypeError} an unknown dtype, or a shape that does not go with it
 * @throws {RangeError} a name tfjs cannot take, or a size that is none
 * @see tf.input
 * @example const route = input({ name: "route", dtype: "string" });
 * @example const seen = input({ name: "seen", dtype: "int64", shape: [50] });
 */
export function input(args: InputArgs): SymbolicTensor {
  refuseUnknownKeys("input()", args, ["name", "dtype", "shape"]);
  const { name, dtype, shape = [1] } = args;
  if (typeof name !== "string" || !LAYER_NAME.test(name)) {
    throw new RangeError(
      `input name ${JSON.stringify(name)}: tfjs takes letters, digits and . _ - / only, a letter or digit first; ` +
        `rename the field where the data is defined`,
    );
  }
  checkChoice(`input "${name}": dtype`, dtype, INPUT_DTYPES);
  checkShape(name, dtype, shape);
  const tensor = tfInput({ name, shape: [...shape], dtype: dtype === "int64" ? "int32" : dtype });
  dtypes.set(tensor, dtype);
  return tensor;
}

/** The dtype given to `input()`; of an input made by tfjs itself, or read back from a file, tfjs's own. */
export function dtypeOf(tensor: SymbolicTensor): string {
  return dtypes.get(tensor) ?? tensor.dtype;
}

/** Whether a field of this dtype gives 64-bit keys rather than numbers. */
export function givesKeys(dtype: string): boolean {
  return dtype !== "float32";
}

function checkShape(name: string, dtype: InputDtype, shape: InputShape): void {
  if (!Array.isArray(shape) || shape.length === 0) {
    throw new TypeError(
      `input "${name}": shape is ${JSON.stringify(shape)}; give the sizes of one sample, without the batch: ` +
        `[1] for one value, [20] for 20, [null] for a list of any length`,
    );
  }
  const ragged = shape.length === 1 && shape[0] === null;
  const odd = shape.find((size) => !Number.isInteger(size) || size < 1);
  if (odd !== undefined && !ragged) {
    throw new RangeError(
      `input "${name}": shape ${JSON.stringify(shape)} has the size ${odd}; sizes are integers from 1, ` +
        `and null stands alone, as [null], for a list of any length`,
    );
  }
  if (!givesKeys(dtype)) return;
  if (shape.length > 1) {
    throw new TypeError(
      `input "${name}": ${dtype} gives keys, which come one by one or in lists; its shape ${JSON.stringify(shape)} ` +
        `has ${shape.length} sizes: give it one, as [20] or [null]`,
    );
  }
  if (shape[0] !== null && shape[0] > LIMITS.sequenceLengthMax) {
    throw new RangeError(
      `input "${name}": a sequence of ${shape[0]} keys; at most ${LIMITS.sequenceLengthMax} are allowed: ` +
        `give it a shorter shape, which cuts longer lists`,
    );
  }
}
