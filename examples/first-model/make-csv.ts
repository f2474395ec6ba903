/**
 * Writes two CSV files to a folder: visits.csv to train on, and new.csv, the visits after those, which nobody knows the
 * end of.
 *
 * npm run node -- examples/first-model/make-csv.ts FOLDER [--rows 200000]
 */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { visits, type Visit } from "./visits.ts";

const NEW_ROWS = 1_000;
const COLUMNS = ["user", "item", "category", "tags", "price", "time"] as const;

const { values, positionals } = parseArgs({
  options: { rows: { type: "string", default: "200000" } },
  allowPositionals: true,
});
const [folder = "."] = positionals;
const rows = Number(values.rows);
if (!Number.isSafeInteger(rows) || rows < 1)
  throw new RangeError(`--rows is ${values.rows}; give a whole number from 1, as 200000`);

await mkdir(folder, { recursive: true });
await write("visits.csv", visits(0, rows), [...COLUMNS, "bought"]);
await write("new.csv", visits(rows, rows + NEW_ROWS), COLUMNS);

async function write(name: string, list: readonly Visit[], columns: readonly (keyof Visit)[]): Promise<void> {
  const lines = list.map((visit) => columns.map((column) => visit[column]).join(","));
  const file = path.join(folder, name);
  await writeFile(file, `${columns.join(",")}\n${lines.join("\n")}\n`);
  console.log(`${file}: ${list.length} rows of ${columns.join(", ")}`);
}
