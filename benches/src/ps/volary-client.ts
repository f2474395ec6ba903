/**
 * The client of Volary's parameter servers in the bench, a process of its own: answers the commands of
 * `client-process.ts` as the C clients do (`native/workload.h`).
 */
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { VolaryRows, type OpenTables, type PlannedRows } from "./volary-rows.ts";
import { batchesFrom, fillRow, keyWords, rowSum } from "./workload.ts";
import type { Moved } from "./client-process.ts";

const FILL_ROWS = 65_536;

/** What this process is started with. */
export interface VolaryClientRequest {
  opened: OpenTables;
  /** Which of the tables, as a position. */
  table: number;
  batchesFile: string;
  /**
   * What is wrong on purpose in a control: it waits for each row before it asks for the next, flips a bit of what it
   * has pulled, and does not send the last row of a push.
   */
  fault?: "slow-and-wrong" | undefined;
}

const { opened, table: position, batchesFile, fault } = JSON.parse(process.argv[2]!) as VolaryClientRequest;
const table = opened.tables[position]!;
const { dim } = table;
const client = await VolaryRows.connect(opened);
const requestRows = fault ? 1 : undefined;

interface Batch {
  planned: PlannedRows;
  /** Shape [n, dim]. */
  rows: Float32Array;
  words: Uint32Array;
}

const batches: Batch[] = batchesFrom(await readFile(batchesFile)).map((indexes) => {
  const rows = new Float32Array(indexes.length * dim);
  return { planned: client.plan(table, keyWords(indexes), { requestRows }), rows, words: new Uint32Array(rows.buffer) };
});
const rowsOfAll = batches.reduce((sum, { rows }) => sum + rows.length / dim, 0);

async function fill(from: number, to: number): Promise<Moved> {
  const start = performance.now();
  for (let at = from; at < to; at += FILL_ROWS) {
    const indexes = Uint32Array.from({ length: Math.min(FILL_ROWS, to - at) }, (_, i) => at + i);
    const planned = client.plan(table, keyWords(indexes));
    const rows = new Float32Array(indexes.length * dim);
    fillRows(planned.keys, rows, 0);
    await client.set(planned, rows);
  }
  return { seconds: (performance.now() - start) / 1000, rows: to - from };
}

async function pull(): Promise<Moved> {
  for (const { rows } of batches) rows.fill(0);
  client.forgetKeyNames();
  const start = performance.now();
  await inTurn(({ planned, rows }) => (fault ? pullSlowly(planned, rows) : client.pull(planned, rows)));
  const seconds = (performance.now() - start) / 1000;
  if (fault) batches[0]!.words[0]! ^= 1;
  const sums = batches.map(({ planned, words }) => {
    let sum = 0;
    for (let i = 0; i * dim < words.length; i++)
      sum = (sum + rowSum(words, i * dim, { low: planned.keys[2 * i]!, dim })) | 0;
    return sum >>> 0;
  });
  return { seconds, rows: rowsOfAll, sums };
}

async function push(round: number): Promise<Moved> {
  for (const { planned, rows } of batches) fillRows(planned.keys, rows, round);
  client.forgetKeyNames();
  const start = performance.now();
  await inTurn(({ planned, rows }) => (fault ? pushSlowly(planned, rows) : client.push(planned, rows)));
  return { seconds: (performance.now() - start) / 1000, rows: rowsOfAll };
}

/** Moves all batches. The next one is asked for before the one under way is answered, as by a worker. */
async function inTurn(move: (batch: Batch) => Promise<void>): Promise<void> {
  let underWay: Promise<void> | undefined;
  for (const batch of batches) {
    const moved = move(batch);
    await underWay;
    underWay = moved;
  }
  await underWay;
}

async function pullSlowly(planned: PlannedRows, rows: Float32Array): Promise<void> {
  for (const request of planned.requests) await client.pull({ ...planned, requests: [request] }, rows);
}

async function pushSlowly(planned: PlannedRows, rows: Float32Array): Promise<void> {
  for (const request of planned.requests.slice(0, -1)) await client.push({ ...planned, requests: [request] }, rows);
}

function fillRows(keys: Uint32Array, rows: Float32Array, round: number): void {
  for (let i = 0; i * dim < rows.length; i++) fillRow(rows, i * dim, { low: keys[2 * i]!, round, dim });
}

function answer(line: string): Promise<Moved> {
  const [command, a, b] = line.split(" ");
  if (command === "fill") return fill(Number(a), Number(b));
  if (command === "push") return push(Number(a));
  if (command === "pull") return pull();
  throw new TypeError(`unknown command: ${line}`);
}

console.log(JSON.stringify({ ready: true }));
for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await answer(line)));
client.close();
