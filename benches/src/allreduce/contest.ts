/** Systems side by side, round by round, so that whatever else the machine does meets all alike. */
import { ratios, spreadOf, type Spread } from "../report/statistics.ts";
import { startMpi, startVolary, type Round, type System } from "./systems.ts";
import type { RankRequest } from "./rank-process.ts";

export interface ContestOptions {
  /** Ranks. */
  size: number;
  /** Numbers of floats to sum. */
  sizes: readonly number[];
  rounds: number;
  repeats: number;
  /** Undefined where there is no Open MPI. */
  mpiProgram: string | undefined;
  fault: RankRequest["fault"];
}

/** For one number of ranks and of floats. */
export interface Found {
  size: number;
  floats: number;
  /** Bytes of one rank's data a second, by name, shape [rounds]. */
  rates: ReadonlyMap<string, readonly number[]>;
  /** Volary's rate over that of the better Open MPI. */
  vsMpi: Spread | undefined;
  /** What the rank that sent most has sent, over 2(N − 1)/N of its data. */
  bytesOverIdeal: number;
  /** Over all rounds and systems. */
  wrong: number;
}

export async function contest(o: ContestOptions): Promise<Found[]> {
  const { size, sizes, mpiProgram: program, fault } = o;
  const systems: System[] = [];
  try {
    systems.push(await startVolary({ size, fault }));
    // Which of the two is better depends on how many processors there are.
    if (program)
      for (const yieldWhenIdle of [0, 1] as const) systems.push(await startMpi({ program, size, yieldWhenIdle }));
    const found: Found[] = [];
    for (const floats of sizes) found.push(await compare(systems, { ...o, floats }));
    return found;
  } finally {
    for (const system of systems) await system.stop();
  }
}

/** The first round, a warm-up, does not count; who begins changes from round to round. */
async function compare(
  systems: readonly System[],
  { size, floats, repeats, rounds }: Round & Pick<ContestOptions, "size" | "rounds">,
): Promise<Found> {
  const rates = new Map(systems.map(({ name }) => [name, [] as number[]]));
  const idealBytes = ((2 * (size - 1)) / size) * 4 * floats * repeats;
  let bytesOverIdeal = 0;
  let wrong = 0;
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < systems.length; i++) {
      const system = systems[(round + i) % systems.length]!;
      const result = await system.run({ floats, repeats });
      wrong += result.wrong;
      bytesOverIdeal = Math.max(bytesOverIdeal, (result.sentBytes ?? 0) / idealBytes);
      if (round > 0) rates.get(system.name)!.push((4 * floats * repeats) / result.seconds);
    }
  }
  const [volary, ...others] = [...rates.values()];
  const best = others.toSorted((a, b) => spreadOf(b).median - spreadOf(a).median)[0];
  return { size, floats, rates, vsMpi: best && ratios(volary!, best), bytesOverIdeal, wrong };
}
