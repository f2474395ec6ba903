/**
 * A field of the data as an input of the model. Underneath it is a tfjs input of one value a sample; tfjs stops at
 * int32, so the dtype the author wrote is remembered here: it tells whether the field gives keys or numbers.
 */
import { input as tfInput, type SymbolicTensor } from "@tensorflow/tfjs-layers";
import { checkChoice } from "./author-error.ts";

/** `string`, `int32` and `int64` fields give keys, for an embedding; `float32` fields give numbers. */
export type InputDtype = "string" | "int32" | "int64" | "float32";

const INPUT_DTYPES: readonly InputDtype[] = ["string", "int32", "int64", "float32"];

/** tfjs makes tensor names of layer names, and takes only these. */
const LAYER_NAME = /^[A-Za-z0-9][-A-Za-z0-9._/]*$/;

const dtypes = new WeakMap<SymbolicTensor, InputDtype>();

/**
 * An input that reads the field `name` of the data.
 *
 * @throws {TypeError} an unknown dtype
 * @throws {RangeError} a name tfjs cannot take
 * @example const route = input({ name: "route", dtype: "string" });
 */
export function input({ name, dtype }: { name: string; dtype: InputDtype }): SymbolicTensor {
  if (typeof name !== "string" || !LAYER_NAME.test(name)) {
    throw new RangeError(
      `input name ${JSON.stringify(name)}: tfjs takes letters, digits and . _ - / only, a letter or digit first; ` +
        `rename the field where the data is defined`,
    );
  }
  checkChoice(`input "${name}": dtype`, dtype, INPUT_DTYPES);
  const tensor = tfInput({ name, shape: [1], dtype: dtype === "int64" ? "int32" : dtype });
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
