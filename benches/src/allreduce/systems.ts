/** The systems that are compared: ranks of Volary and of Open MPI, all processes of this machine, over loopback TCP. */
import path from "node:path";
import { Child, nodeChild } from "../processes/child.ts";
import type { Checked, RankRequest, Span } from "./rank-process.ts";

/** Of one round: some all-reduces in a row. */
export interface Round {
  /** Floats that each rank has. */
  floats: number;
  repeats: number;
}

export interface RoundResult {
  /** From the first rank that began to the last that ended. */
  seconds: number;
  /** Over all ranks, values that are not the sums. */
  wrong: number;
  /** Of the rank that sent most, where the system says it. */
  sentBytes?: number | undefined;
}

export interface System {
  readonly name: string;
  run(round: Round): Promise<RoundResult>;
  stop(): Promise<void>;
}

/** Ranks as workers are: a link per pair, `DenseRounds` over them. */
export async function startVolary({ size, fault }: Pick<RankRequest, "size" | "fault">): Promise<System> {
  const file = path.join(import.meta.dirname, "rank-process.ts");
  const ranks = Array.from({ length: size }, (_, rank) => {
    const request: RankRequest = { rank, size, fault };
    return nodeChild({ name: `rank ${rank} of ${size}`, file, args: [JSON.stringify(request)] });
  });
  const askAll = <T>(line: string): Promise<T[]> => Promise.all(ranks.map((rank) => rank.ask<T>(line)));
  const stop = async (): Promise<void> => void (await Promise.all(ranks.map((rank) => rank.stop())));
  try {
    const ready = await Promise.all(ranks.map((rank) => rank.nextObject<{ address: string }>()));
    await askAll(`meet ${ready.map(({ address }) => address).join(",")}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    name: "volary",
    run: async ({ floats, repeats }) => {
      const before = await askAll<Checked>(`fill ${floats}`);
      const spans = await askAll<Span>(`reduce ${repeats}`);
      const after = await askAll<Checked>(`check ${repeats}`);
      return {
        seconds: Math.max(...spans.map(({ to }) => to)) - Math.min(...spans.map(({ from }) => from)),
        wrong: after.reduce((sum, { wrong }) => sum + wrong, 0),
        sentBytes: Math.max(...after.map(({ sentBytes }, rank) => sentBytes - before[rank]!.sentBytes)),
      };
    },
    stop,
  };
}

/**
 * Ranks of Open MPI over TCP.
 *
 * @param yieldWhenIdle whether a rank that waits gives its processor to others: better where there are too few
 */
export async function startMpi(o: { program: string; size: number; yieldWhenIdle: 0 | 1 }): Promise<System> {
  const { program, size, yieldWhenIdle } = o;
  const name = `mpi (mpi_yield_when_idle ${yieldWhenIdle})`;
  const mca = ["--mca", "btl", "tcp,self", "--mca", "mpi_yield_when_idle", String(yieldWhenIdle)];
  // Open MPI takes only as many ranks as there are cores, and no root, unless told.
  const args = ["--allow-run-as-root", "--oversubscribe", ...mca, "-np", String(size), program];
  const child = new Child({ name, program: "mpirun", args });
  await child.nextObject();
  return {
    name,
    run: ({ floats, repeats }) => child.ask<RoundResult>(`${floats} ${repeats}`),
    stop: () => child.stop(),
  };
}
