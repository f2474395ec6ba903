/** Plain tables under load: one client opens them, all push to them, and what they hold in the end is read. */
import type { TableClient } from "@volary/core/client";
import type { SeededRandom } from "@volary/core/testing";
import type { PlainRows } from "./check-pushes.ts";
import type { Ledger } from "./ledger.ts";
import { PLAIN, plainManifest } from "./plain-tables.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import { TableLoad } from "./table-load.ts";
import { rowsOf } from "./training-run.ts";

export interface PlainLoad {
  /** Of each client. */
  operations: number;
  forMs: number;
  sharedKeys: number;
  /** Of each client, of a whole table. */
  exports: number;
}

export interface PlainResult {
  job: number;
  rows: PlainRows;
  faults: string[];
  /** Requests that were given up after all retries. */
  late: number;
}

export async function runPlain(o: {
  /** The first one opens the tables. */
  clients: readonly SimulatedClient[];
  seed: number;
  random: SeededRandom;
  ledger: Ledger;
  load: PlainLoad;
  mayBeFull: boolean;
  /** The tables are read once this resolves. */
  untilRead: Promise<void>;
}): Promise<PlainResult> {
  const { clients, seed, random, ledger, load, mayBeFull } = o;
  const opened = await clients[0]!.submit(plainManifest(seed));
  const loads = await Promise.all(
    clients.map(async (client, number) => {
      const { host, name } = client;
      const each = new TableLoad({ client: name, number, ledger, clock: host.clock, random, mayBeFull, ...load });
      const run = async (): Promise<void> => each.run(await client.tables(opened));
      await Promise.race([run(), client.crashed]);
      return each;
    }),
  );
  await o.untilRead;
  await clients[0]!.catchUp();
  return {
    job: opened.job,
    rows: await plainRows(loads[0]!.tables),
    faults: loads.flatMap(({ faults }) => faults),
    late: loads.reduce((sum, { late }) => sum + late, 0),
  };
}

async function plainRows(tables: TableClient): Promise<PlainRows> {
  const rows = new Map<string, ReadonlyMap<bigint, Float32Array>>();
  for (const spec of Object.values(PLAIN)) rows.set(spec.name, await rowsOf(tables, spec));
  return rows;
}
