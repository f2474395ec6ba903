/** Systems side by side: each is started, filled, timed round by round against the others, and stopped. */
import path from "node:path";
import type { ClientProcess } from "./client-process.ts";
import type { NativePrograms } from "./native.ts";
import { compareRates, type Contestant, type Rates } from "./rounds.ts";
import { startFloor, startRedis, startVolary, type System, type SystemOptions, type VolarySystem } from "./systems.ts";
import type { VolaryClientRequest } from "./volary-client.ts";
import { newWorkload, writeBatches, type WorkloadOptions } from "./workload.ts";

/** A table is filled in this many pieces, and the node asked for its memory after each. */
const FILL_PIECES = 32;
/** A table counts as growing, and no longer as new, from here on: 256 rows in each of 256 partitions. */
const GROWING_ROWS = 65_536;

export interface Entry extends SystemOptions {
  kind: "volary" | "redis" | "floor";
  /** Unique in its contest. */
  name: string;
  /** Options of `volary ps`. */
  psArgs?: readonly string[];
}

export interface ContestOptions {
  native: NativePrograms;
  rounds: number;
  /** Of each system. */
  clients: number;
  /** Of the clients of an entry, by its name. */
  faults?: Readonly<Record<string, VolaryClientRequest["fault"]>>;
}

/** Bytes that a row takes, of one system. */
export interface RowBytes {
  /** All of what the server's process has grown by; undefined where the machine does not tell. */
  resident: number | undefined;
  /** Beyond weights and optimizer state, as the node counts: the largest of all fills of a growing table. */
  bookkeeping: number | undefined;
}

export interface Contest {
  rates: ReadonlyMap<string, Rates>;
  rowBytes: ReadonlyMap<string, RowBytes>;
}

/** Makes a workload, and the file in which clients find its batches. */
export async function prepare(folder: string, options: WorkloadOptions): Promise<SystemOptions> {
  const workload = newWorkload(options);
  const batchesFile = path.join(folder, `batches-${options.rows}-${options.dim}`);
  await writeBatches(batchesFile, workload.batches);
  return { workload, batchesFile };
}

export async function contest(entries: readonly Entry[], o: ContestOptions): Promise<Contest> {
  const contestants: Contestant[] = [];
  const rowBytes = new Map<string, RowBytes>();
  try {
    for (const entry of entries) {
      const system = await start(entry, o);
      const clients: ClientProcess[] = [];
      contestants.push({ name: entry.name, system, clients });
      for (let i = 0; i < o.clients; i++) clients.push(await system.client());
      rowBytes.set(entry.name, await fill(system, clients[0]!));
    }
    const rates = await compareRates(contestants, o.rounds);
    for (const { clients } of contestants) for (const client of clients) await client.stop();
    return { rates, rowBytes };
  } finally {
    for (const { system } of contestants) await system.stop();
  }
}

function start(entry: Entry, { native, faults = {} }: ContestOptions): Promise<System | VolarySystem> {
  switch (entry.kind) {
    case "volary":
      return startVolary({ ...entry, fault: faults[entry.name] });
    case "redis":
      return startRedis(entry, native.redis!);
    case "floor":
      return startFloor(entry, native.floor!);
    default:
      return entry.kind satisfies never;
  }
}

async function fill(system: System | VolarySystem, client: ClientProcess): Promise<RowBytes> {
  const { rows, dim } = system.workload;
  const before = await system.residentBytes();
  let bookkeeping: number | undefined;
  for (let piece = 0; piece < FILL_PIECES; piece++) {
    await client.fill(Math.floor((piece * rows) / FILL_PIECES), Math.floor(((piece + 1) * rows) / FILL_PIECES));
    if (!("usage" in system)) continue;
    const usage = await system.usage();
    if (usage.rows < Math.min(GROWING_ROWS, rows)) continue;
    // The optimizer keeps one float a row.
    bookkeeping = Math.max(bookkeeping ?? 0, usage.bytes / usage.rows - 4 * (dim + 1));
  }
  const after = await system.residentBytes();
  return { resident: before === undefined || after === undefined ? undefined : (after - before) / rows, bookkeeping };
}
