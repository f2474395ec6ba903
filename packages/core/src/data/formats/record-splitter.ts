/**
 * A stream of bytes cut to records, wherever its chunks end: a line each, or for CSV a line whose quoted cells may
 * hold line ends of their own. Reading, sampling and indexing a file all cut it here, so they count the same rows.
 */
import { ClusterError } from "../../errors.ts";

/** Where records end: the part of a text format's grammar that needs no knowledge of its columns. */
export interface RecordGrammar {
  /**
   * Where the record that begins at `from` ends, its line feed included; −1 where it does not before `to`.
   */
  end(bytes: Uint8Array, from: number, to: number): number;
  /** Line feeds within the record that `end` found last, its own included. */
  readonly lines: number;
}

/** A record may have this many bytes; a longer one is a quote that is never closed. */
export const RECORD_BYTES_MAX = 16 * 1024 * 1024;

const LINE_FEED = 10;
const RETURN = 13;

/** A record per line. */
export class LineGrammar implements RecordGrammar {
  readonly lines = 1;

  end(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to && bytes[at] !== LINE_FEED) at++;
    return at < to ? at + 1 : -1;
  }
}

/** Blank lines are no records. */
export class RecordSplitter {
  /** The record {@link next} came to is `bytes[from, to)`, without its line end. */
  bytes = new Uint8Array(0);
  from = 0;
  to = 0;
  /** Of the record: the byte of the stream it begins at, and its line, from 1. */
  offset = 0;
  line = 0;

  readonly #grammar: RecordGrammar;
  readonly #name: string;
  /** Where the next record begins, and where the bytes that are there end. */
  #at = 0;
  #end = 0;
  /** Byte of the stream that `bytes[0]` is. */
  #base = 0;
  #line: number;
  #isEnded = false;
  #isBegun: boolean;

  /**
   * @param o.name the file's, for messages
   * @param o.offset byte of the file that the first chunk begins at; a byte order mark is looked for only at 0
   * @param o.line line of the file that the first chunk begins in
   */
  constructor({ grammar, name, offset = 0, line = 1 }: SplitterOptions) {
    this.#grammar = grammar;
    this.#name = name;
    this.#base = offset;
    this.#line = line;
    this.#isBegun = offset > 0;
  }

  /** Where the next record begins in the stream. */
  get position(): number {
    return this.#base + this.#at;
  }

  /** Line of the next record. */
  get nextLine(): number {
    return this.#line;
  }

  /** Takes a copy of the next bytes of the stream. Call {@link next} until it is false, then push again. */
  push(chunk: Uint8Array): void {
    const kept = this.#end - this.#at;
    if (kept + chunk.length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(2 * kept, kept + chunk.length));
      larger.set(this.bytes.subarray(this.#at, this.#end));
      this.bytes = larger;
    } else this.bytes.copyWithin(0, this.#at, this.#end);
    this.bytes.set(chunk, kept);
    this.#base += this.#at;
    this.#at = 0;
    this.#end = kept + chunk.length;
  }

  /** No more bytes come: what is left is the last record. */
  finish(): void {
    this.#isEnded = true;
  }

  /**
   * Goes to the next record.
   *
   * @returns false where it has not come whole yet
   * @throws {ClusterError} BAD_DATA: the text is UTF-16, or a record longer than {@link RECORD_BYTES_MAX}
   */
  next(): boolean {
    if (!this.#isBegun && !this.#begin()) return false;
    while (this.#at < this.#end) {
      let end = this.#grammar.end(this.bytes, this.#at, this.#end);
      if (end < 0 && !this.#isEnded) {
        if (this.#end - this.#at > RECORD_BYTES_MAX) throw this.#tooLong();
        return false;
      }
      let lines = this.#grammar.lines;
      if (end < 0) {
        end = this.#end;
        lines = 1;
      }
      this.from = this.#at;
      this.to = end;
      this.offset = this.#base + this.#at;
      this.line = this.#line;
      this.#at = end;
      this.#line += lines;
      if (this.to > this.from && this.bytes[this.to - 1] === LINE_FEED) this.to--;
      if (this.to > this.from && this.bytes[this.to - 1] === RETURN) this.to--;
      if (this.to > this.from) return true;
    }
    return false;
  }

  #begin(): boolean {
    if (this.#end < 3 && !this.#isEnded) return false;
    this.#isBegun = true;
    const [first, second, third] = this.bytes;
    const isUtf16 = this.#end >= 2 && ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff));
    if (isUtf16) {
      throw new ClusterError(
        "BAD_DATA",
        `${this.#name}: its text is UTF-16; convert it with: iconv -f UTF-16 -t UTF-8 ${this.#name} > utf8-file`,
      );
    }
    if (this.#end >= 3 && first === 0xef && second === 0xbb && third === 0xbf) this.#at = 3;
    return true;
  }

  #tooLong(): ClusterError {
    return new ClusterError(
      "BAD_DATA",
      `${this.#name}:${this.#line}: the row that begins here has not ended after ${RECORD_BYTES_MAX} bytes: ` +
        "a quote is not closed, or the file has no line ends",
    );
  }
}

export interface SplitterOptions {
  grammar: RecordGrammar;
  name: string;
  offset?: number;
  line?: number;
}
