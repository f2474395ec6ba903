/** How fast text and Parquet become columns, and how fast udsv, the quickest CSV parser on npm, is on the same bytes. */
import { open } from "node:fs/promises";
import { columnsOf, npmFile, parquet } from "@volary/core/data";
import { openTextFormat, RecordSplitter } from "@volary/core/data/formats";
import { openData } from "@volary/node-worker";
import { inferSchema, initParser } from "udsv";
import { clickSpec } from "./click-log.ts";

const MEGABYTE = 1e6;
/** Text that is parsed at a time, and how often. */
const PIECE_BYTES = 32 * 1024 * 1024;
const TIMES = 3;

/** Megabytes of the file's first ones a second, to columns, without transforms; the best of three. */
export async function csvParseSpeed(name: string): Promise<number> {
  const bytes = await firstBytes(name);
  const { spec } = clickSpec(name);
  if (spec.format.kind !== "csv") throw new TypeError("the click log is CSV");
  const format = openTextFormat({ format: spec.format, sample: bytes, name, columns: columnsOf(spec) });
  return best(bytes.length / MEGABYTE, () => {
    const parser = format.parser();
    const splitter = new RecordSplitter({ grammar: format.grammar(), name });
    splitter.push(bytes);
    splitter.finish();
    splitter.next();
    while (splitter.next()) parser.add(splitter.bytes, splitter.from, splitter.to);
    return parser.take().table.rows;
  });
}

/** The same by udsv: from bytes to typed values, a column each. */
export async function udsvSpeed(name: string): Promise<number> {
  const bytes = await firstBytes(name);
  return best(bytes.length / MEGABYTE, () => {
    const text = new TextDecoder().decode(bytes);
    const parser = initParser(inferSchema(text.slice(0, 100_000)));
    return parser.typedCols(text).length;
  });
}

const FLIGHTS = parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
  fields: { date: "date", delay: "delay", destination: "destination", distance: "distance", origin: "origin" },
});

/** Values a second of three million real flights; the wrong way decodes a whole column to get at one value of it. */
export async function parquetSpeed({ way }: { way: "columns" | "a value at a time" }): Promise<number> {
  const columns = columnsOf(FLIGHTS);
  const wanted = way === "columns" ? columns : columns.slice(0, 1);
  const started = performance.now();
  const opened = await openData(FLIGHTS, { baseDirs: [import.meta.dirname], columns: wanted });
  const seconds = (performance.now() - started) / 1000;
  if (opened.kind !== "memory") throw new TypeError("the flights fit in memory");
  return (way === "columns" ? opened.table.rows * columns.length : 1) / seconds;
}

async function firstBytes(name: string): Promise<Uint8Array> {
  const handle = await open(name);
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(PIECE_BYTES), 0, PIECE_BYTES, 0);
    return buffer.subarray(0, buffer.lastIndexOf(10, bytesRead - 1) + 1);
  } finally {
    await handle.close();
  }
}

function best(megabytes: number, run: () => number): number {
  let seconds = Infinity;
  for (let time = 0; time < TIMES; time++) {
    const started = performance.now();
    if (run() === 0) throw new TypeError("nothing was parsed");
    seconds = Math.min(seconds, (performance.now() - started) / 1000);
  }
  return megabytes / seconds;
}
