/**
 * The data of the `data` bench: a click log in the shape of Criteo's (a label, 13 counts, some of them missing, and 26
 * hashed categories), written on the spot from one seed, with sums that its readers must come to.
 */
import { open } from "node:fs/promises";
import { csv, hash, logOf, standardise, withDefault, type DataSpec, type FieldDemand } from "@volary/core/data";

const COUNTS = 13;
const CATEGORIES = 26;
const names = (letter: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${letter}${i}`);

/** What every row adds up to, whatever the order rows are read in. */
export interface ClickSums {
  rows: number;
  /** Of the row numbers. */
  numbers: number;
  /** Of the first count, 0 where it is missing. */
  counts: number;
}

const DEFAULTED = names("I", COUNTS).map((name) => [name, withDefault(name, 0)] as const);

/** Every column through the transforms that a click model uses. */
export function clickSpec(file: string): { spec: DataSpec; demands: FieldDemand[] } {
  const numbers = DEFAULTED.map(
    ([name, part]) => [`log${name}`, standardise(logOf(part), { mean: 3, stddev: 2 })] as const,
  );
  const keys = names("C", CATEGORIES).map((name) => [name, hash(name)] as const);
  const spec = csv(file, {
    fields: { row: "row", firstCount: DEFAULTED[0]![1], ...Object.fromEntries([...numbers, ...keys]) },
    label: "label",
    types: Object.fromEntries(names("C", CATEGORIES).map((name) => [name, "string"])),
  });
  const demands: FieldDemand[] = [
    { name: "row", as: "keys" },
    { name: "firstCount", as: "numbers", width: 1 },
    ...numbers.map(([name]) => ({ name, as: "numbers", width: 1 }) as const),
    ...keys.map(([name]) => ({ name, as: "keys" }) as const),
  ];
  return { spec, demands };
}

/** Rows are drawn from as many as this, each with a number of its own before it. */
const POOL_ROWS = 20_000;
const WRITE_BYTES = 4 * 1024 * 1024;

/** Writes about `bytes` bytes of CSV. */
export async function writeClicks(file: string, bytes: number): Promise<ClickSums> {
  const { texts, counts } = pool();
  const sums: ClickSums = { rows: 0, numbers: 0, counts: 0 };
  const handle = await open(file, "w");
  try {
    let piece = `row,label,${[...names("I", COUNTS), ...names("C", CATEGORIES)].join(",")}\n`;
    for (let written = 0; written < bytes; written += piece.length, piece = "") {
      while (piece.length < WRITE_BYTES && written + piece.length < bytes) {
        const place = Math.imul(sums.rows, 7919) % POOL_ROWS;
        const pooled = place < 0 ? place + POOL_ROWS : place;
        piece += `${sums.rows},${texts[pooled]!}`;
        sums.counts += counts[pooled]!;
        sums.numbers += sums.rows++;
      }
      await handle.write(piece);
    }
  } finally {
    await handle.close();
  }
  return sums;
}

function pool(): { texts: string[]; counts: number[] } {
  let state = 1;
  const random = (): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const texts: string[] = [];
  const counts: number[] = [];
  for (let row = 0; row < POOL_ROWS; row++) {
    const cells = [random() < 0.25 ? "1" : "0"];
    for (let i = 0; i < COUNTS; i++) {
      const isMissing = random() < 0.15;
      const count = Math.floor(Math.exp(9 * random()));
      if (i === 0) counts.push(isMissing ? 0 : count);
      cells.push(isMissing ? "" : String(count));
    }
    for (let i = 0; i < CATEGORIES; i++) {
      const rank = Math.floor(random() ** 3 * 10 ** (1 + (i % 5)));
      cells.push((Math.imul(rank + 1, 2_654_435_761) >>> 0).toString(16).padStart(8, "0"));
    }
    texts.push(`${cells.join(",")}\n`);
  }
  return { texts, counts };
}
