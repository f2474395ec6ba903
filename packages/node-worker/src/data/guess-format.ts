/** What a file is, by its first bytes and its name, where nobody has said. */
import type { FormatSpec } from "@volary/core/data";
import { unpackedName } from "./unpack.ts";

const DELIMITERS = [",", "\t", ";", "|"] as const;

/**
 * @param name of the file, .gz and .zst included
 * @param head its first bytes, unpacked
 */
export function guessFormat(name: string, head: Uint8Array): FormatSpec {
  const magic = String.fromCharCode(...head.subarray(0, 6));
  if (magic.startsWith("PAR1")) return { kind: "parquet" };
  if (magic.startsWith("VTBL")) return { kind: "table" };
  if (magic === "\x93NUMPY") return { kind: "npy", columns: ["values"] };
  const bare = unpackedName(name).toLowerCase();
  const lines = new TextDecoder()
    .decode(head.subarray(0, 65_536))
    .split(/\r?\n/)
    .filter((line) => line !== "");
  const first = (lines[0] ?? "").replace("\ufeff", "");
  if (/\.(jsonl|ndjson|json)$/.test(bare) || /^\s*\{/.test(first)) return { kind: "jsonl", types: {} };
  if (/\.(svm|libsvm|svmlight)$/.test(bare) || /^[-+\d.e]+(\s+(qid|\d+):[-+\d.e]+)+\s*(#|$)/.test(first)) {
    return { kind: "libsvm" };
  }
  const delimiter = bare.endsWith(".tsv") ? "\t" : delimiterOf(first);
  return { kind: "csv", delimiter, header: hasHeader(first.split(delimiter)), types: {}, missing: [] };
}

function delimiterOf(line: string): string {
  const counts = DELIMITERS.map((delimiter) => line.split(delimiter).length);
  return DELIMITERS[counts.indexOf(Math.max(...counts))]!;
}

/** Names are no numbers, and none of them is empty or stands twice. */
function hasHeader(cells: readonly string[]): boolean {
  const texts = cells.map((cell) => cell.trim().replaceAll(/^"|"$/g, ""));
  return texts.every((text) => text !== "" && Number.isNaN(Number(text))) && new Set(texts).size === texts.length;
}
