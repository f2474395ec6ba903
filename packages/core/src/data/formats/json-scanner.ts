/**
 * JSON values (RFC 8259) found in bytes, without building objects: only the wanted members of a record are looked
 * at, and numbers keep all their digits, which `JSON.parse` would round to doubles.
 */
import { isUtf8 } from "./byte-dictionary.ts";

export type JsonKind = "string" | "number" | "true" | "false" | "null" | "array" | "object";

/** Takes the elements of an array. */
export interface ElementSink {
  add(bytes: Uint8Array, from: number, to: number): boolean;
}

const DEPTH_MAX = 64;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Finds one value at a time; what it found stands in its fields. */
export class JsonScanner {
  kind: JsonKind = "null";
  /** The value's text: a string's without its quotes and escapes. */
  text: Uint8Array = EMPTY;
  from = 0;
  to = 0;
  /** What is wrong, after a scan that gave −1. */
  fault = "";
  /** Byte where it is wrong. */
  faultAt = 0;

  /** @returns where the value that begins at `at` ends, blanks before it left out; −1 where there is no value */
  value(bytes: Uint8Array, at: number, to: number): number {
    return this.#value(bytes, blanksEnd(bytes, at, to), to, 0);
  }

  /** Gives the elements of the array `bytes[from, to)` to `sink`. @returns false where it is no array of its type */
  elements(bytes: Uint8Array, from: number, to: number, sink: ElementSink): boolean {
    let at = blanksEnd(bytes, from, to);
    if (bytes[at] !== 0x5b || at >= to) return false;
    at = blanksEnd(bytes, at + 1, to);
    if (at < to && bytes[at] === 0x5d) return blanksEnd(bytes, at + 1, to) === to;
    for (;;) {
      at = this.value(bytes, at, to);
      if (at < 0 || this.kind === "array" || this.kind === "object" || this.kind === "null") return false;
      if (!sink.add(this.text, this.from, this.to)) return false;
      at = blanksEnd(bytes, at, to);
      const next = at < to ? bytes[at] : 0;
      if (next === 0x5d) return blanksEnd(bytes, at + 1, to) === to;
      if (next !== 0x2c) return false;
      at++;
    }
  }

  #value(bytes: Uint8Array, at: number, to: number, depth: number): number {
    if (at >= to) return this.#wrong("a value is missing", at);
    switch (bytes[at]) {
      case QUOTE:
        return this.#string(bytes, at, to);
      case 0x7b:
        return this.#container(bytes, at, to, depth, "object");
      case 0x5b:
        return this.#container(bytes, at, to, depth, "array");
      case 0x74:
        return this.#word(bytes, at, to, "true");
      case 0x66:
        return this.#word(bytes, at, to, "false");
      case 0x6e:
        return this.#word(bytes, at, to, "null");
      default:
        return this.#number(bytes, at, to);
    }
  }

  #found(kind: JsonKind, text: Uint8Array, from: number, to: number): void {
    this.kind = kind;
    this.text = text;
    this.from = from;
    this.to = to;
  }

  #wrong(fault: string, at: number): -1 {
    this.fault = fault;
    this.faultAt = at;
    return -1;
  }

  #word(bytes: Uint8Array, at: number, to: number, word: "true" | "false" | "null"): number {
    for (let i = 0; i < word.length; i++) {
      if (at + i >= to || bytes[at + i] !== word.charCodeAt(i)) return this.#wrong(`"${word}" is misspelt`, at);
    }
    this.#found(word, bytes, at, at + word.length);
    return at + word.length;
  }

  /** -? (0 | [1-9] digits) (. digits)? ([eE] [+-]? digits)? */
  #number(bytes: Uint8Array, at: number, to: number): number {
    let end = at < to && bytes[at] === 0x2d ? at + 1 : at;
    const whole = end;
    end = digitsEnd(bytes, end, to);
    if (end === whole) return this.#wrong("a value was expected", at);
    if (bytes[whole] === 0x30 && end > whole + 1) return this.#wrong("a number begins with 0", at);
    if (end < to && bytes[end] === 0x2e) {
      const fraction = end + 1;
      end = digitsEnd(bytes, fraction, to);
      if (end === fraction) return this.#wrong("digits are missing after the point", end);
    }
    if (end < to && (bytes[end]! | 0x20) === 0x65) {
      end++;
      if (end < to && (bytes[end] === 0x2b || bytes[end] === 0x2d)) end++;
      const exponent = end;
      end = digitsEnd(bytes, exponent, to);
      if (end === exponent) return this.#wrong("digits are missing in the exponent", end);
    }
    this.#found("number", bytes, at, end);
    return end;
  }

  #string(bytes: Uint8Array, at: number, to: number): number {
    let end = at + 1;
    let isEscaped = false;
    for (; end < to && bytes[end] !== QUOTE; end++) {
      if (bytes[end]! < 0x20) return this.#wrong("a string holds a control character", end);
      if (bytes[end] !== BACKSLASH) continue;
      isEscaped = true;
      end++;
    }
    if (end >= to) return this.#wrong("a string is not closed", at);
    if (!isEscaped) {
      this.#found("string", bytes, at + 1, end);
      return end + 1;
    }
    const text = unescaped(bytes.subarray(at, end + 1));
    if (text === undefined) return this.#wrong("a string has an escape that is none, or is not UTF-8", at);
    this.#found("string", text, 0, text.length);
    return end + 1;
  }

  /** Checks all that is inside; the text found is the container's own, brackets included. */
  #container(bytes: Uint8Array, at: number, to: number, depth: number, kind: "array" | "object"): number {
    if (depth >= DEPTH_MAX) return this.#wrong(`more than ${DEPTH_MAX} levels`, at);
    const close = kind === "array" ? 0x5d : 0x7d;
    let end = blanksEnd(bytes, at + 1, to);
    if (end < to && bytes[end] === close) {
      this.#found(kind, bytes, at, end + 1);
      return end + 1;
    }
    for (;;) {
      if (kind === "object") {
        end = blanksEnd(bytes, end, to);
        if (end >= to || bytes[end] !== QUOTE) return this.#wrong("a name was expected", end);
        end = this.#string(bytes, end, to);
        if (end < 0) return -1;
        end = blanksEnd(bytes, end, to);
        if (end >= to || bytes[end] !== 0x3a) return this.#wrong('":" was expected', end);
        end++;
      }
      end = this.#value(bytes, blanksEnd(bytes, end, to), to, depth + 1);
      if (end < 0) return -1;
      end = blanksEnd(bytes, end, to);
      const next = end < to ? bytes[end] : 0;
      if (next === close) {
        this.#found(kind, bytes, at, end + 1);
        return end + 1;
      }
      if (next !== 0x2c) return this.#wrong(`"," or "${String.fromCharCode(close)}" was expected`, end);
      end++;
    }
  }
}

const EMPTY = new Uint8Array(0);
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** Where the blanks that begin at `at` end. */
export function blanksEnd(bytes: Uint8Array, at: number, to: number): number {
  let end = at;
  while (end < to && (bytes[end] === 0x20 || bytes[end] === 0x09 || bytes[end] === 0x0a || bytes[end] === 0x0d)) end++;
  return end;
}

function digitsEnd(bytes: Uint8Array, at: number, to: number): number {
  let end = at;
  while (end < to && bytes[end]! >= 0x30 && bytes[end]! <= 0x39) end++;
  return end;
}

/** Rare enough for `JSON.parse`. A lone surrogate, which has no UTF-8, becomes U+FFFD. */
function unescaped(quoted: Uint8Array): Uint8Array | undefined {
  if (!isUtf8(quoted)) return undefined;
  try {
    return ENCODER.encode(JSON.parse(DECODER.decode(quoted)) as string);
  } catch {
    return undefined;
  }
}
