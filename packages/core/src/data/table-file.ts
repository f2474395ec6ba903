/**
 * Volary's own container of columns, for arrays that code hands in: what `{ kind: "table" }` files hold.
 *
 * | bytes   |                                                                                     |
 * |---------|-------------------------------------------------------------------------------------|
 * | 0–3     | "VTBL"                                                                              |
 * | 4–7     | version, u32                                                                        |
 * | 8–11    | bytes of the header, u32                                                            |
 * | 12–15   | 0                                                                                   |
 * | 16–31   | MurmurHash3_x86_128 of all that follows, its state begun with the header's length    |
 * | 32–     | the header, JSON in UTF-8, then the arrays it promises, each begun at a multiple of 8 |
 *
 * Everything is little-endian, as typed arrays are on every platform with WebGPU, WebGL or Node. The arrays come in the
 * order of the columns: number: f64 values; int64: i64 values, u8 missing; string: u32 codes, u32 ends of the
 * dictionary's entries, their UTF-8; list: u32 offsets, then its elements as a column.
 */
import { z } from "zod";
import { ClusterError } from "../errors.ts";
import type { Column, ColumnTable } from "./spec/dataset.ts";
import { murmur128 } from "./fields/murmur3.ts";

type ScalarColumn = Exclude<Column, { kind: "list" }>;

const MAGIC = 0x4c42_5456;
const VERSION = 1;
const PREAMBLE_BYTES = 32;
const U32_MAX = 0xffff_ffff;

const count = z.number().int().min(0).max(U32_MAX);
const numbers = z.strictObject({ kind: z.literal("number") });
const integers = z.strictObject({ kind: z.literal("int64"), isMissing: z.boolean() });
const strings = z.strictObject({
  kind: z.literal("string"),
  entries: count,
  textBytes: z.number().int().nonnegative(),
});
const lists = z.strictObject({
  kind: z.literal("list"),
  elements: z.discriminatedUnion("kind", [numbers, integers, strings]),
  length: count,
});
const headerSchema = z.strictObject({
  rows: count,
  testFrom: count.optional(),
  badRows: z.array(z.strictObject({ row: count, place: z.string(), fault: z.string() })),
  columns: z.array(
    z.strictObject({ name: z.string(), column: z.discriminatedUnion("kind", [numbers, integers, strings, lists]) }),
  ),
});
type Header = z.infer<typeof headerSchema>;
type ColumnHeader = Header["columns"][number]["column"];
type ScalarHeader = Exclude<ColumnHeader, { kind: "list" }>;

/** The bytes of a table. Only {@link ColumnTable.placeOf} is left out. */
export function encodeTable(table: ColumnTable): Uint8Array {
  const header: Header = {
    rows: table.rows,
    ...(table.testFrom === undefined ? {} : { testFrom: table.testFrom }),
    badRows: (table.badRows ?? []).map(({ row, place, fault }) => ({ row, place, fault })),
    columns: [],
  };
  const arrays: ArrayBufferView[] = [];
  for (const [name, column] of table.columns) header.columns.push({ name, column: putColumn(column, arrays) });

  const head = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(
    arrays.reduce((length, array) => aligned(length) + array.byteLength, PREAMBLE_BYTES + head.length),
  );
  bytes.set(head, PREAMBLE_BYTES);
  let at = PREAMBLE_BYTES + head.length;
  for (const array of arrays) {
    at = aligned(at);
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    at += array.byteLength;
  }
  const preamble = new Uint32Array(bytes.buffer, 0, PREAMBLE_BYTES / 4);
  preamble.set([MAGIC, VERSION, head.length, 0]);
  preamble.set(digestOf(bytes), 4);
  return bytes;
}

/**
 * The table that `bytes` hold, whose arrays are views of them where they begin at a multiple of 8 in their buffer.
 *
 * @throws {ClusterError} BAD_DATA: another kind of file, another version, or bytes that are missing or changed
 */
export function decodeTable(bytes: Uint8Array): ColumnTable {
  const own = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  if (own.length < PREAMBLE_BYTES) throw broken(`its ${own.length} bytes are too few to be one`);
  const preamble = new Uint32Array(own.buffer, own.byteOffset, PREAMBLE_BYTES / 4);
  if (preamble[0] !== MAGIC) throw broken('it does not begin with "VTBL"');
  if (preamble[1] !== VERSION) throw broken(`it has version ${preamble[1]}, and this release reads version ${VERSION}`);
  if (digestOf(own).some((word, i) => word !== preamble[4 + i]))
    throw broken("its checksum does not match: it was cut off or changed; write or copy it again");

  const end = PREAMBLE_BYTES + preamble[2]!;
  if (end > own.length) throw broken(`its header should end at byte ${end}, and it has ${own.length}`);
  const header = headerIn(own.subarray(PREAMBLE_BYTES, end));
  const cursor = new Cursor(own, end);
  const columns = new Map<string, Column>();
  for (const { name, column } of header.columns) {
    if (columns.has(name)) throw broken(`it has two columns "${name}"`);
    columns.set(name, takeColumn(cursor, { name, header: column, rows: header.rows }));
  }
  cursor.finish();
  return {
    rows: header.rows,
    columns,
    ...(header.testFrom === undefined ? {} : { testFrom: header.testFrom }),
    ...(header.badRows.length === 0 ? {} : { badRows: checkedBadRows(header) }),
  };
}

function headerIn(bytes: Uint8Array): Header {
  try {
    return headerSchema.parse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw broken(`its header cannot be read (${(cause as Error).message})`, cause);
  }
}

function checkedBadRows({ badRows, rows }: Header): Header["badRows"] {
  const beyond = badRows.find(({ row }) => row >= rows);
  if (beyond !== undefined) throw broken(`its bad row ${beyond.row} lies past the last of ${rows} rows`);
  return badRows;
}

function putColumn(column: Column, arrays: ArrayBufferView[]): ColumnHeader {
  if (column.kind !== "list") return putScalars(column, arrays);
  arrays.push(column.offsets);
  const length = column.offsets.at(-1) ?? 0;
  return { kind: "list", elements: putScalars(column.elements, arrays), length };
}

function putScalars(column: ScalarColumn, arrays: ArrayBufferView[]): ScalarHeader {
  switch (column.kind) {
    case "number":
      arrays.push(column.values);
      return { kind: "number" };
    case "int64":
      arrays.push(column.values);
      if (column.missing !== undefined) arrays.push(column.missing);
      return { kind: "int64", isMissing: column.missing !== undefined };
    case "string": {
      const encoder = new TextEncoder();
      const texts = column.dictionary.map((entry) => encoder.encode(entry));
      const ends = new Uint32Array(texts.length);
      const textBytes = texts.reduce((end, text, i) => (ends[i] = end + text.length), 0);
      if (textBytes > U32_MAX) throw new RangeError(`a dictionary of ${textBytes} bytes; at most ${U32_MAX} fit`);
      const text = new Uint8Array(textBytes);
      for (const [i, each] of texts.entries()) text.set(each, ends[i]! - each.length);
      arrays.push(column.codes, ends, text);
      return { kind: "string", entries: texts.length, textBytes };
    }
    default:
      return column satisfies never;
  }
}

interface Take {
  name: string;
  header: ColumnHeader;
  rows: number;
}

function takeColumn(cursor: Cursor, { name, header, rows }: Take): Column {
  if (header.kind !== "list") return takeScalars(cursor, { name, header, rows });
  const offsets = cursor.u32s(rows + 1);
  for (let row = 0; row <= rows; row++) {
    const least = row === 0 ? 0 : offsets[row - 1]!;
    const isRight = row === 0 ? offsets[0] === 0 : offsets[row]! >= least;
    if (!isRight || offsets[row]! > header.length)
      throw broken(`column "${name}": offsets[${row}] is ${offsets[row]}, of ${header.length} elements`);
  }
  if (offsets[rows] !== header.length)
    throw broken(`column "${name}": its lists end at ${offsets[rows]}, of ${header.length} elements`);
  return {
    kind: "list",
    offsets,
    elements: takeScalars(cursor, { name, header: header.elements, rows: header.length }),
  };
}

function takeScalars(cursor: Cursor, { name, header, rows }: Take & { header: ScalarHeader }): ScalarColumn {
  switch (header.kind) {
    case "number":
      return { kind: "number", values: cursor.f64s(rows) };
    case "int64": {
      const values = cursor.i64s(rows);
      return header.isMissing ? { kind: "int64", values, missing: cursor.u8s(rows) } : { kind: "int64", values };
    }
    case "string": {
      const codes = cursor.u32s(rows);
      const row = codes.findIndex((code) => code >= header.entries);
      if (row >= 0)
        throw broken(`column "${name}": codes[${row}] is ${codes[row]}, of ${header.entries} dictionary entries`);
      const ends = cursor.u32s(header.entries);
      return { kind: "string", codes, dictionary: textsOf(cursor.u8s(header.textBytes), ends, name) };
    }
    default:
      return header satisfies never;
  }
}

function textsOf(bytes: Uint8Array, ends: Uint32Array, name: string): string[] {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let start = 0;
  return Array.from(ends, (end, i) => {
    if (end < start || end > bytes.length)
      throw broken(`column "${name}": dictionary entry ${i} ends at ${end}, after ${start} of ${bytes.length} bytes`);
    try {
      const text = decoder.decode(bytes.subarray(start, end));
      start = end;
      return text;
    } catch (cause) {
      throw broken(`column "${name}": dictionary entry ${i} is not UTF-8`, cause);
    }
  });
}

/** Walks over the arrays behind the header. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  u8s(length: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#take(length), length);
  }

  u32s(length: number): Uint32Array {
    return new Uint32Array(this.#bytes.buffer, this.#take(4 * length), length);
  }

  i64s(length: number): BigInt64Array {
    return new BigInt64Array(this.#bytes.buffer, this.#take(8 * length), length);
  }

  f64s(length: number): Float64Array {
    return new Float64Array(this.#bytes.buffer, this.#take(8 * length), length);
  }

  finish(): void {
    if (this.#at !== this.#bytes.length)
      throw broken(`its columns end at byte ${this.#at}, and it has ${this.#bytes.length}`);
  }

  /** @returns the place in the buffer */
  #take(length: number): number {
    const from = aligned(this.#at);
    this.#at = from + length;
    if (this.#at > this.#bytes.length)
      throw broken(`its columns need ${this.#at} bytes or more, and it has ${this.#bytes.length}`);
    return this.#bytes.byteOffset + from;
  }
}

function digestOf(bytes: Uint8Array): Uint32Array {
  const digest = new Uint32Array(4);
  // The head's length is hashed too: it is not among the bytes that follow.
  const start = Uint32Array.of(bytes[8]! | (bytes[9]! << 8), bytes[10]! | (bytes[11]! << 8), 0, 0);
  murmur128(start, bytes.subarray(PREAMBLE_BYTES), 0, digest);
  return digest;
}

function aligned(at: number): number {
  return Math.ceil(at / 8) * 8;
}

function broken(fault: string, cause?: unknown): ClusterError {
  return new ClusterError("BAD_DATA", `not a whole table file: ${fault}`, cause === undefined ? undefined : { cause });
}
