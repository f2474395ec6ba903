/**
 * A column of strings whose dictionary is decoded when somebody looks at it: a batch whose strings are only hashed to
 * keys never makes a JavaScript string.
 */
import type { Column, Utf8Strings } from "../spec/dataset.ts";

export type StringColumn = Extract<Column, { kind: "string" }>;

/** @param o.isAscii whether every byte is below 128 */
export function stringColumn(o: { codes: Uint32Array; utf8: Utf8Strings; isAscii: boolean }): StringColumn {
  let dictionary: readonly string[] | undefined;
  const column = {
    kind: "string" as const,
    codes: o.codes,
    get dictionary() {
      return (dictionary ??= o.isAscii ? asciiStrings(o.utf8) : decodedStrings(o.utf8));
    },
  };
  // Not enumerable: a copy of the column has its dictionary, and stands for itself.
  return Object.defineProperty(column, "utf8", { value: o.utf8 });
}

const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const DECODE_BYTES = 4_194_304;

function decodedStrings({ size, bytes, ends }: Utf8Strings): string[] {
  const strings = Array.from<string>({ length: size });
  for (let code = 0, start = 0; code < size; start = ends[code++]!) {
    strings[code] = DECODER.decode(bytes.subarray(start, ends[code]));
  }
  return strings;
}

/** ASCII is one character a byte: decoded many at a time and cut, which is faster than one by one. */
function asciiStrings({ size, bytes, ends }: Utf8Strings): string[] {
  const strings = Array.from<string>({ length: size });
  let start = 0;
  for (let code = 0; code < size;) {
    let last = code;
    while (last + 1 < size && ends[last + 1]! - start <= DECODE_BYTES) last++;
    const text = DECODER.decode(bytes.subarray(start, ends[last]));
    let cut = 0;
    for (; code <= last; code++) {
      const end = ends[code]! - start;
      strings[code] = text.slice(cut, end);
      cut = end;
    }
    start = ends[last]!;
  }
  return strings;
}
