/**
 * Columns that grow cell by cell out of the bytes of a text file. A cell that is not of the column's type leaves a
 * hole behind, so that all columns of a table stay of one length whatever the file holds.
 */
import type { ColumnType } from "../spec/data-spec.ts";
import type { Column } from "../spec/dataset.ts";
import { ByteDictionary } from "./byte-dictionary.ts";
import { JsonScanner } from "./json-scanner.ts";
import { instantIn, int64In, isNanText, numberIn } from "./number-text.ts";

export interface ColumnBuilder {
  readonly type: ColumnType;
  /** Cells so far. */
  readonly length: number;
  /**
   * Appends the cell whose text is `bytes[from, to)`.
   *
   * @returns false where the text is not of the column's type; a missing cell is appended then
   */
  add(bytes: Uint8Array, from: number, to: number): boolean;
  addMissing(): void;
  /** Drops the cells from `length` on. */
  truncate(length: number): void;
  /** A copy of the column so far; the builder begins anew in the memory it has. */
  take(): Column;
}

/** @param capacity cells to make room for at first */
export function columnBuilder(type: ColumnType, capacity = CAPACITY): ColumnBuilder {
  switch (type) {
    case "number":
      return new NumberBuilder(capacity);
    case "int64":
    case "timestamp":
      return new Int64Builder(type, capacity);
    case "string":
      return new StringBuilder(capacity);
    case "string[]":
    case "int64[]":
    case "number[]":
      return new ListBuilder(type, capacity);
    default:
      return type satisfies never;
  }
}

/** What a column of each type expects, for messages. */
export const EXPECTED = {
  number: "a number, as -1.5e3",
  int64: "an integer within ±2^63",
  timestamp: 'an ISO 8601 instant, as "2001-06-13T08:02:00Z"',
  string: "text in UTF-8: convert the file with iconv",
  "number[]": "a list of numbers, as [1.5, 2]",
  "int64[]": "a list of integers, as [1, 2]",
  "string[]": 'a list of strings, as ["a", "b"]',
} as const satisfies Record<ColumnType, string>;

const CAPACITY = 1024;

class NumberBuilder implements ColumnBuilder {
  readonly type = "number";
  length = 0;
  #values: Float64Array<ArrayBuffer>;

  constructor(capacity: number) {
    this.#values = new Float64Array(capacity);
  }

  add(bytes: Uint8Array, from: number, to: number): boolean {
    const value = numberIn(bytes, from, to);
    this.append(value);
    return !Number.isNaN(value) || isNanText(bytes, from, to);
  }

  addMissing(): void {
    this.append(Number.NaN);
  }

  append(value: number): void {
    if (this.length === this.#values.length) this.#values = grown(this.#values, Float64Array);
    this.#values[this.length++] = value;
  }

  truncate(length: number): void {
    this.length = length;
  }

  take(): Column {
    const values = this.#values.slice(0, this.length);
    this.length = 0;
    return { kind: "number", values };
  }
}

class Int64Builder implements ColumnBuilder {
  readonly type: "int64" | "timestamp";
  length = 0;
  /** u32 pairs, low word first. */
  #words: Uint32Array<ArrayBuffer>;
  #missing: Uint8Array<ArrayBuffer> | undefined;
  readonly #parse: typeof int64In;

  constructor(type: "int64" | "timestamp", capacity: number) {
    this.type = type;
    this.#words = new Uint32Array(2 * capacity);
    this.#parse = type === "int64" ? int64In : instantIn;
  }

  add(bytes: Uint8Array, from: number, to: number): boolean {
    this.#makeRoom();
    if (!this.#parse(bytes, from, to, this.#words, 2 * this.length)) {
      this.addMissing();
      return false;
    }
    this.length++;
    return true;
  }

  addMissing(): void {
    this.#makeRoom();
    this.#missing ??= new Uint8Array(this.#words.length / 2);
    this.#words.fill(0, 2 * this.length, 2 * this.length + 2);
    this.#missing[this.length++] = 1;
  }

  truncate(length: number): void {
    this.#missing?.fill(0, length, this.length);
    this.length = length;
  }

  take(): Column {
    const words = this.#words.slice(0, 2 * this.length);
    const missing = this.#missing?.slice(0, this.length);
    this.#missing?.fill(0, 0, this.length);
    this.length = 0;
    return { kind: "int64", values: new BigInt64Array(words.buffer), ...(missing?.includes(1) ? { missing } : {}) };
  }

  #makeRoom(): void {
    if (2 * this.length < this.#words.length) return;
    this.#words = grown(this.#words, Uint32Array);
    if (this.#missing !== undefined) this.#missing = grown(this.#missing, Uint8Array);
  }
}

class StringBuilder implements ColumnBuilder {
  readonly type = "string";
  length = 0;
  #codes: Uint32Array<ArrayBuffer>;
  readonly #dictionary = new ByteDictionary();

  constructor(capacity: number) {
    this.#codes = new Uint32Array(capacity);
  }

  add(bytes: Uint8Array, from: number, to: number): boolean {
    const code = this.#dictionary.codeOf(bytes, from, to);
    if (code < 0) {
      this.addMissing();
      return false;
    }
    if (this.length === this.#codes.length) this.#codes = grown(this.#codes, Uint32Array);
    this.#codes[this.length++] = code;
    return true;
  }

  addMissing(): void {
    this.add(NO_BYTES, 0, 0);
  }

  truncate(length: number): void {
    this.length = length;
  }

  take(): Column {
    const codes = this.#codes.slice(0, this.length);
    const column = this.#dictionary.column(codes);
    this.length = 0;
    this.#dictionary.clear();
    return column;
  }
}

/** Cells are JSON arrays, or lists put together element by element with {@link ListBuilder.endRow}. */
export class ListBuilder implements ColumnBuilder {
  readonly type: Extract<ColumnType, `${string}[]`>;
  readonly elements: ColumnBuilder;
  length = 0;
  #ends: Uint32Array<ArrayBuffer>;
  readonly #scanner = new JsonScanner();

  constructor(type: Extract<ColumnType, `${string}[]`>, capacity: number) {
    this.type = type;
    this.elements = columnBuilder(type.slice(0, -2) as "string" | "int64" | "number", capacity);
    this.#ends = new Uint32Array(capacity);
  }

  add(bytes: Uint8Array, from: number, to: number): boolean {
    const isRead = this.#scanner.elements(bytes, from, to, this.elements);
    if (!isRead) this.dropRow();
    this.endRow();
    return isRead;
  }

  addMissing(): void {
    this.dropRow();
    this.endRow();
  }

  /** The elements appended since the last row become one. */
  endRow(): void {
    if (this.length === this.#ends.length) this.#ends = grown(this.#ends, Uint32Array);
    this.#ends[this.length++] = this.elements.length;
  }

  /** Forgets the elements appended since the last row. */
  dropRow(): void {
    this.elements.truncate(this.length === 0 ? 0 : this.#ends[this.length - 1]!);
  }

  truncate(length: number): void {
    this.length = length;
    this.dropRow();
  }

  take(): Column {
    const offsets = new Uint32Array(this.length + 1);
    offsets.set(this.#ends.subarray(0, this.length), 1);
    this.length = 0;
    return { kind: "list", offsets, elements: this.elements.take() as Exclude<Column, { kind: "list" }> };
  }
}

const NO_BYTES = new Uint8Array(0);

function grown<T extends { readonly length: number; set(from: T): void }>(from: T, of: new (length: number) => T): T {
  const larger = new of(Math.max(16, 2 * from.length));
  larger.set(from);
  return larger;
}
