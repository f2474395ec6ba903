/**
 * What a column of text holds, told from its first cells. An id with leading zeros, or one too long for 64 bits,
 * stays text: as a number it would lose digits.
 */
import type { ColumnType } from "../spec/data-spec.ts";
import { instantIn, int64In, isNanText, isPlainInteger, numberIn } from "./number-text.ts";

export class TypeGuess {
  #cells = 0;
  #isInt64 = true;
  #isNumber = true;
  #isTimestamp = true;
  #isList = true;
  readonly #words = new Uint32Array(2);

  /** A cell that is not missing. */
  see(bytes: Uint8Array, from: number, to: number): void {
    this.#cells++;
    this.#isList = false;
    if (this.#isTimestamp) this.#isTimestamp = instantIn(bytes, from, to, this.#words, 0);
    if (!this.#isInt64 && !this.#isNumber) return;
    const isInteger = isPlainInteger(bytes, from, to);
    const isInt64 = isInteger && int64In(bytes, from, to, this.#words, 0);
    this.#isInt64 &&= isInt64;
    this.#isNumber &&= isInt64 || (!isInteger && !hasLeadingZero(bytes, from, to) && isNumber(bytes, from, to));
  }

  /** A list; its elements are seen by a guess of their own. */
  seeList(): void {
    this.#cells++;
    this.#isInt64 = this.#isNumber = this.#isTimestamp = false;
  }

  /** Text that is text whatever it looks like, as JSON's strings: an instant, or a string. */
  seeText(bytes: Uint8Array, from: number, to: number): void {
    this.see(bytes, from, to);
    this.#isInt64 = this.#isNumber = false;
  }

  get isList(): boolean {
    return this.#isList && this.#cells > 0;
  }

  /** Of a column without any cell: strings. */
  type(): Exclude<ColumnType, `${string}[]`> {
    if (this.#cells === 0) return "string";
    if (this.#isInt64) return "int64";
    if (this.#isNumber) return "number";
    return this.#isTimestamp ? "timestamp" : "string";
  }
}

function isNumber(bytes: Uint8Array, from: number, to: number): boolean {
  return !Number.isNaN(numberIn(bytes, from, to)) || isNanText(bytes, from, to);
}

function hasLeadingZero(bytes: Uint8Array, from: number, to: number): boolean {
  const at = bytes[from] === 0x2d ? from + 1 : from;
  return bytes[at] === 0x30 && at + 1 < to && bytes[at + 1]! >= 0x30 && bytes[at + 1]! <= 0x39;
}
