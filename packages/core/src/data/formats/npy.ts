/**
 * NumPy's array files (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), versions 1 to 3. The
 * first axis is the row: an array of shape [rows] is a column of numbers, one of [rows, k] a column of lists of k.
 * 64-bit integers become int64, unsigned ones modulo 2^64; all other numbers doubles.
 */
import { ClusterError } from "../../errors.ts";
import type { Column } from "../spec/dataset.ts";

export interface NpyHeader {
  rows: number;
  /** Elements of a row: 1 for an array of one axis. */
  width: number;
  isList: boolean;
  /** NumPy's letters, as "f4". */
  dtype: Dtype;
  elementBytes: number;
  /** Byte of the file that row 0 begins at. */
  dataFrom: number;
}

/** A header is at most this long: NumPy's own are 128 bytes. */
export const NPY_HEADER_BYTES_MAX = 65_536;

/**
 * @param bytes the file's first {@link NPY_HEADER_BYTES_MAX} bytes, or all of a smaller one
 * @param fileBytes its length
 * @throws {ClusterError} BAD_DATA: not an npy file, truncated, or an array that cannot be a column
 */
export function npyHeader(bytes: Uint8Array, fileBytes: number, name: string): NpyHeader {
  const isNpy = bytes.length >= 10 && MAGIC.every((byte, i) => bytes[i] === byte);
  if (!isNpy) throw bad(name, 'not an npy file: it does not begin with "\\x93NUMPY"; save it with numpy.save');
  const version = bytes[6]!;
  if (version < 1 || version > 3) throw bad(name, `npy version ${version}; versions 1 to 3 can be read`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const textFrom = version === 1 ? 10 : 12;
  if (bytes.length < textFrom) throw bad(name, "truncated: its header is not whole; copy it again");
  const dataFrom = textFrom + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataFrom > bytes.length) throw bad(name, "truncated, or its header is too long; copy it again");
  const text = new TextDecoder().decode(bytes.subarray(textFrom, dataFrom));
  const descr = /'descr':\s*'(?<descr>[^']*)'/.exec(text)?.groups?.["descr"];
  const fortran = /'fortran_order':\s*(?<order>True|False)/.exec(text)?.groups?.["order"];
  const shape = /'shape':\s*\((?<shape>[\d,\sL]*)\)/.exec(text)?.groups?.["shape"];
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw bad(name, `its header cannot be read: ${JSON.stringify(text.slice(0, 100))}`);
  }
  const axes = shape.split(",").flatMap((axis) => (axis.trim() === "" ? [] : [Number.parseInt(axis, 10)]));
  const dtype = dtypeOf(descr, name);
  if (axes.length < 1 || axes.length > 2) {
    throw bad(name, `an array of shape (${shape}); expected [rows] or [rows, k]: reshape it`);
  }
  if (fortran === "True" && axes.length > 1) {
    throw bad(name, "in Fortran order; save numpy.ascontiguousarray(array)");
  }
  const [rows, width = 1] = axes as [number, number?];
  const elementBytes = Number(dtype.slice(1));
  const expected = dataFrom + rows * width * elementBytes;
  if (!Number.isSafeInteger(expected) || expected !== fileBytes) {
    throw bad(name, `${fileBytes} bytes, and its header promises ${expected}: truncated or broken; copy it again`);
  }
  return { rows, width, isList: axes.length === 2, dtype, elementBytes, dataFrom };
}

/** The column of the `rows` rows whose bytes are `data`. */
export function npyColumn({ width, isList, dtype, elementBytes }: NpyHeader, data: Uint8Array): Column {
  const count = data.byteLength / elementBytes;
  const elements = elementsOf(dtype, new DataView(data.buffer, data.byteOffset, data.byteLength), count);
  if (!isList) return elements;
  const rows = width === 0 ? 0 : count / width;
  return { kind: "list", offsets: Uint32Array.from({ length: rows + 1 }, (_, row) => row * width), elements };
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"] as const;
type Dtype = (typeof DTYPES)[number];

function dtypeOf(descr: string, name: string): Dtype {
  const dtype = DTYPES.find((candidate) => candidate === descr.slice(1));
  const isBigEndian = descr.startsWith(">") && !descr.endsWith("1");
  if (dtype !== undefined && !isBigEndian) return dtype;
  const remedy = isBigEndian && dtype !== undefined ? `.astype("<${dtype}")` : '.astype("<f4") or "<i8"';
  throw bad(
    name,
    `dtype ${JSON.stringify(descr)}; expected little-endian ${DTYPES.join(", ")}: save it with ${remedy}`,
  );
}

function elementsOf(dtype: Dtype, view: DataView, count: number): Exclude<Column, { kind: "list" }> {
  if (dtype === "i8" || dtype === "u8") {
    const values = new BigInt64Array(count);
    for (let i = 0; i < count; i++) values[i] = view.getBigInt64(8 * i, true);
    return { kind: "int64", values };
  }
  const values = new Float64Array(count);
  const bytes = Number(dtype.slice(1));
  for (let i = 0; i < count; i++) values[i] = elementAt(dtype, view, i * bytes);
  return { kind: "number", values };
}

function elementAt(dtype: Exclude<Dtype, "i8" | "u8">, view: DataView, at: number): number {
  switch (dtype) {
    case "f2":
      return halfOf(view.getUint16(at, true));
    case "f4":
      return view.getFloat32(at, true);
    case "f8":
      return view.getFloat64(at, true);
    case "i1":
      return view.getInt8(at);
    case "i2":
      return view.getInt16(at, true);
    case "i4":
      return view.getInt32(at, true);
    case "u1":
    case "b1":
      return view.getUint8(at);
    case "u2":
      return view.getUint16(at, true);
    case "u4":
      return view.getUint32(at, true);
    default:
      return dtype satisfies never;
  }
}

/** IEEE 754 binary16. */
function halfOf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function bad(name: string, what: string): ClusterError {
  return new ClusterError("BAD_DATA", `${name}: ${what}`);
}
