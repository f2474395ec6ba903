/**
 * @file What do volunteers that lie do to what is learnt, and what do honest ones bring and cost?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { atLeast, atMost, report, type Check } from "./report/report.ts";
import { measureHelp } from "./volunteers/help.ts";
import { measureJoining } from "./volunteers/joining.ts";
import { measurePoison } from "./volunteers/poison.ts";
import { measureTraffic } from "./volunteers/traffic.ts";

interface Setting {
  folder: string;
  flights: number;
  batchSize: number;
  mode: "measure" | "control";
}

interface Part {
  metrics: Record<string, number | boolean>;
  checks: readonly Check[];
}

const PARTS: Record<string, (o: Setting) => Promise<Part>> = {
  poison: async (o) => {
    const metrics = await measurePoison(o);
    const { aucGapRobust, aucGapMean, onlyLiarsExpelled } = metrics;
    return {
      metrics: { ...metrics },
      checks: [
        atMost("aucGapRobust", aucGapRobust, 0.005),
        atLeast("aucGapMean", aucGapMean, 0.05),
        { metric: "onlyLiarsExpelled", bound: "true", holds: onlyLiarsExpelled },
      ],
    };
  },
  help: async (o) => {
    const metrics = await measureHelp(o);
    return { metrics: { ...metrics }, checks: [atLeast("helpedShare", metrics.helpedShare, 0.01)] };
  },
  traffic: async (o) => {
    const metrics = await measureTraffic(o);
    return { metrics: { ...metrics }, checks: [atMost("rowsShare256", metrics.rowsShare256, 0.7)] };
  },
  joining: async (o) => {
    const metrics = await measureJoining(o);
    return { metrics: { ...metrics }, checks: [atMost("joinMedianMs", metrics.joinMedianMs, 10_000)] };
  },
};

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    part: { type: "string", multiple: true, default: Object.keys(PARTS) },
    flights: { type: "string", default: "102400" },
    batch: { type: "string", default: "512" },
  },
});
const unknown = options.part.find((name) => !Object.hasOwn(PARTS, name));
if (unknown !== undefined) throw new RangeError(`no part "${unknown}"; --part takes ${Object.keys(PARTS).join(", ")}`);
const mode = options.control ? "control" : "measure";
const folder = await mkdtemp(path.join(tmpdir(), "volary-volunteers-"));
try {
  const parts: Part[] = [];
  for (const name of options.part)
    parts.push(
      await PARTS[name]!({ folder, flights: Number(options.flights), batchSize: Number(options.batch), mode }),
    );
  report({
    name: "volunteers",
    metrics: Object.assign({}, ...parts.map(({ metrics }) => metrics)) as Part["metrics"],
    checks: parts.flatMap(({ checks }) => checks),
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await rm(folder, { recursive: true });
}
