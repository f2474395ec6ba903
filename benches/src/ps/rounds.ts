/**
 * Rounds of pulls and pushes over several systems, one after the other, so that whatever else the machine does meets
 * all alike; who begins changes from round to round. Every answer is checked outside of the clock.
 */
import type { ClientProcess, Moved } from "./client-process.ts";
import type { System } from "./systems.ts";

export interface Contestant {
  name: string;
  system: System;
  /** They pull, and push, at the same time. */
  clients: readonly ClientProcess[];
}

/** Of one system, shape [rounds]. */
export interface Rates {
  pullRowsPerSecond: number[];
  pushRowsPerSecond: number[];
  /** Whether every pull had the rows that were due. */
  intact: boolean;
}

/** @returns by name of the contestant; the first round, a warm-up, is not among them */
export async function compareRates(contestants: readonly Contestant[], rounds: number): Promise<Map<string, Rates>> {
  const rates = new Map<Contestant, Rates>(
    contestants.map((each) => [each, { pullRowsPerSecond: [], pushRowsPerSecond: [], intact: true }]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < contestants.length; i++) {
      const contestant = contestants[(round + i) % contestants.length]!;
      const of = rates.get(contestant)!;
      const pulled = await pullAndCheck(contestant, of);
      const pushed = await pushAll(contestant, round + 1);
      if (round === 0) continue;
      of.pullRowsPerSecond.push(pulled);
      of.pushRowsPerSecond.push(pushed);
    }
  }
  for (const contestant of contestants) await pullAndCheck(contestant, rates.get(contestant)!);
  return new Map([...rates].map(([{ name }, of]) => [name, of]));
}

async function pullAndCheck({ system, clients }: Contestant, rates: Rates): Promise<number> {
  const moved = await Promise.all(clients.map((client) => client.pull()));
  const expected = system.expected.sums().join();
  if (moved.some(({ sums }) => sums.join() !== expected)) rates.intact = false;
  return rateOf(moved);
}

async function pushAll({ system, clients }: Contestant, round: number): Promise<number> {
  const moved = await Promise.all(clients.map((client) => client.push(round)));
  system.expected.push(round, clients.length);
  return rateOf(moved);
}

/** Clients that work at the same time are done when the last one is. */
function rateOf(moved: readonly Moved[]): number {
  return moved.reduce((sum, { rows }) => sum + rows, 0) / Math.max(...moved.map(({ seconds }) => seconds));
}
