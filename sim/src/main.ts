/**
 * `npm run sim -- --seeds N --first-seed S --json`: whole-cluster simulation. A violation prints its seed and trace;
 * the same seed replays to the same trace.
 */
import { parseArgs } from "node:util";
import { runSeed } from "./run-seed.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    "first-seed": { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});
const seeds = Number(values.seeds);
const first = Number(values["first-seed"]);
if (!Number.isInteger(seeds) || seeds < 1 || !Number.isInteger(first) || first < 0) {
  console.error(`--seeds ${values.seeds} --first-seed ${values["first-seed"]}: both are whole numbers, seeds from 1`);
  process.exit(2);
}
const metrics = {
  seeds: 0,
  violations: 0,
  crashes: 0,
  cuts: 0,
  holds: 0,
  joins: 0,
  failovers: 0,
  moves: 0,
  commits: 0,
  validations: 0,
  earlyEnds: 0,
  repeats: 0,
  pushes: 0,
  unknownKeys: 0,
  spilled: 0,
};
for (let seed = first; seed < first + seeds; seed++) {
  const run = await runSeed(seed);
  metrics.seeds++;
  for (const name of [
    "crashes",
    "cuts",
    "holds",
    "joins",
    "commits",
    "validations",
    "repeats",
    "pushes",
    "unknownKeys",
    "spilled",
  ] as const)
    metrics[name] += run[name];
  if (run.endedEarly) metrics.earlyEnds++;
  metrics.failovers += Math.max(0, run.terms - 1);
  if (values.trace) console.error(run.trace.join("\n"));
  if (run.faults.length === 0) continue;
  metrics.violations++;
  console.error(`seed ${seed}: ${run.faults.join("; ")}\n${run.trace.map((line) => `  ${line}`).join("\n")}`);
}
const summary = Object.entries(metrics).map(([name, n]) => `${n} ${name}`);
if (values.json) console.log(JSON.stringify({ name: "sim", metrics }));
else console.log(summary.join(", "));
process.exitCode = metrics.violations > 0 ? 1 : 0;
