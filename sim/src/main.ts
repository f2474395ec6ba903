/**
 * `npm run sim -- --seeds N --first-seed S --json`: whole-cluster simulation. A violation prints its seed, its trace and
 * the command that replays it; the same seed replays to the same trace.
 *
 * `--sabotage NAME|all` breaks the cluster on purpose and looks for a seed in which a checker notices: for each kind of
 * sabotage there must be one.
 */
import { parseArgs } from "node:util";
import { SABOTAGES, type Sabotage } from "@volary/core/sabotage";
import { SeedPool } from "./seed-pool.ts";
import type { SeedCounts, SeedResult } from "./seed-result.ts";

/** Seeds in which a sabotage must be noticed. */
const SABOTAGE_SEEDS_MAX = 200;

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    "first-seed": { type: "string", default: "1" },
    threads: { type: "string", default: "2" },
    sabotage: { type: "string" },
    json: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});
const seeds = numberOf(
  "seeds",
  values.seeds ?? (values.sabotage === undefined ? "100" : String(SABOTAGE_SEEDS_MAX)),
  1,
);
const first = numberOf("first-seed", values["first-seed"], 0);
const pool = new SeedPool(numberOf("threads", values.threads, 1));
const metrics = values.sabotage === undefined ? await explore() : await sabotage(sabotagesOf(values.sabotage));
await pool.close();
const summary = Object.entries(metrics).map(([name, n]) => `${n} ${name}`);
if (values.json) console.log(JSON.stringify({ name: "sim", metrics }));
else console.log(summary.join(", "));

/** Runs seeds that must all keep every promise. */
async function explore(): Promise<Record<string, number>> {
  const counts: Record<string, number> = { seeds: 0, violations: 0 };
  for await (const run of pool.runAll({ first, count: seeds })) {
    counts["seeds"]!++;
    for (const [name, n] of countsOf(run)) counts[name] = (counts[name] ?? 0) + n;
    if (values.trace) console.error(run.trace.join("\n"));
    if (run.faults.length === 0) continue;
    counts["violations"]!++;
    console.error(`${reportOf(run)}\n  npm run sim -- --seeds 1 --first-seed ${run.seed} --trace`);
  }
  process.exitCode = counts["violations"]! > 0 ? 1 : 0;
  return counts;
}

/** Breaks the cluster in each of these ways until a checker notices. That it stands still is not enough. */
async function sabotage(names: readonly Sabotage[]): Promise<Record<string, number>> {
  let caught = 0;
  for (const name of names) {
    const run = await noticed(name);
    if (run?.faults.some(({ checker }) => checker !== "liveness")) caught++;
    console.error(`${name}: ${run ? found(run) : `not noticed in ${seeds} seeds`}`);
    if (run && values.trace) console.error(reportOf(run));
  }
  process.exitCode = caught < names.length ? 1 : 0;
  return { sabotages: names.length, "sabotages caught": caught };
}

/** The first seed in which rows are wrong; where there is none, the first in which something broke off or stands still. */
async function noticed(name: Sabotage): Promise<SeedResult | undefined> {
  let other: SeedResult | undefined;
  for await (const run of pool.runAll({ first, count: seeds, sabotage: name })) {
    if (run.faults.length === 0 || (other && weightOf(run) <= weightOf(other))) continue;
    const whole = await pool.run({ seed: run.seed });
    if (whole.faults.length > 0)
      console.error(`seed ${run.seed} is left out: it breaks a promise without sabotage, too`);
    else if (weightOf(run) === 2) return run;
    else other = run;
  }
  return other;
}

/** Wrong rows tell more than an error does, and that more than standing still. */
function weightOf({ faults }: SeedResult): number {
  return Math.max(...faults.map(({ checker }) => (checker === "liveness" ? 0 : checker === "errors" ? 1 : 2)));
}

function found({ seed, faults }: SeedResult): string {
  const checkers = [...new Set(faults.map(({ checker }) => checker))];
  const { checker, message } = faults[0]!;
  return `seed ${seed}, by ${checkers.join(" and ")} (${checker}: ${message.split("\n")[0]})`;
}

function sabotagesOf(given: string): readonly Sabotage[] {
  const chosen = given === "all" ? SABOTAGES : SABOTAGES.filter((name) => name === given);
  if (chosen.length > 0) return chosen;
  console.error(`--sabotage ${given}: give all, or one of ${SABOTAGES.join(", ")}`);
  process.exit(2);
}

function countsOf({
  seed: _seed,
  faults: _faults,
  trace: _trace,
  ...counts
}: SeedResult): [keyof SeedCounts, number][] {
  return Object.entries(counts) as [keyof SeedCounts, number][];
}

function reportOf({ seed, faults, trace }: SeedResult): string {
  const all = faults.map(({ checker, message }) => `${checker}: ${message}`);
  return `seed ${seed}: ${all.join("\n  ")}\n${trace.map((line) => `  ${line}`).join("\n")}`;
}

function numberOf(name: string, given: string, least: number): number {
  const n = Number(given);
  if (Number.isInteger(n) && n >= least) return n;
  console.error(`--${name} ${given}: give a whole number, from ${least}`);
  process.exit(2);
}
