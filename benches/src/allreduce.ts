/**
 * @file How fast is an all-reduce of dense gradients next to Open MPI, over the same TCP, and how many bytes does it send?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { contest, type Found } from "./allreduce/contest.ts";
import { errorsOfForm } from "./allreduce/form-errors.ts";
import { mpiProgram } from "./allreduce/mpi-program.ts";
import { atLeast, atMost, report, type Check } from "./report/report.ts";
import { spreadOf, spreadText } from "./report/statistics.ts";

/** What P ranks must reach of Open MPI's speed. */
const VS_MPI_MIN: Readonly<Record<number, number>> = { 2: 0.9, 4: 0.8 };
const BYTES_OVER_IDEAL_MAX = 1.01;
const MEGABYTE = 2 ** 20;

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    megabytes: { type: "string", default: "64" },
    rounds: { type: "string", default: "9" },
    repeats: { type: "string", default: "3" },
  },
});

function numberOf(name: "megabytes" | "rounds" | "repeats", max: number): number {
  const value = Number(options[name]);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new RangeError(`--${name} ${options[name]}: expected a whole number from 1 to ${max}`);
  return value;
}

const sizeText = (bytes: number): string => (bytes < MEGABYTE ? `${bytes / 1024} KB` : `${bytes / MEGABYTE} MB`);

function print({ size, floats, rates, vsMpi, bytesOverIdeal, wrong }: Found): void {
  console.error(`${size} ranks, ${sizeText(4 * floats)} each${wrong > 0 ? `; ${wrong} values are NOT the sums` : ""}`);
  for (const [name, of] of rates)
    console.error(`  ${name}: ${spreadText(spreadOf(of.map((rate) => rate / 1e9)))} GB/s`);
  if (vsMpi) console.error(`  Volary has ${spreadText(vsMpi)} of the better Open MPI`);
  console.error(`  bytes over the ideal: ${bytesOverIdeal.toFixed(4)}`);
}

/** What fewer bytes cost; nothing of it is measured, so it is the same on every machine. */
function formErrors(): Record<string, number> {
  const forms = [
    { name: "int8", form: "int8" },
    { name: "topK", form: { topK: 0.01 } },
  ] as const;
  return Object.fromEntries(
    forms.flatMap(({ name, form }) => {
      const { round, fedBack } = errorsOfForm(form);
      console.error(
        `${JSON.stringify(form)}: sums err by ${round.toPrecision(3)} a round, ${fedBack.toPrecision(3)} with feedback`,
      );
      return [
        [`${name}Error`, round],
        [`${name}ErrorFedBack`, fedBack],
      ];
    }),
  );
}

/** Of the size that is asked for; others are for people. */
function metricsOf(found: readonly Found[]): Record<string, number | boolean> {
  return {
    ...Object.fromEntries(
      found.flatMap(({ size, rates, vsMpi }) => [
        ...(vsMpi
          ? [
              [`p${size}VsMpi`, vsMpi.median],
              [`p${size}VsMpiP10`, vsMpi.p10],
              [`p${size}VsMpiP90`, vsMpi.p90],
            ]
          : []),
        [`p${size}BytesPerSecond`, spreadOf(rates.get("volary")!).median],
      ]),
    ),
    bytesOverIdeal: Math.max(...found.map(({ bytesOverIdeal }) => bytesOverIdeal)),
    sumsExact: found.every(({ wrong }) => wrong === 0),
  };
}

function checksOf(metrics: Record<string, number | boolean>): Check[] {
  const speeds = Object.entries(VS_MPI_MIN).map(([size, min]) => ({ metric: `p${size}VsMpi`, min }));
  return [
    ...speeds
      .filter(({ metric }) => metric in metrics)
      .map(({ metric, min }) => atLeast(metric, metrics[metric] as number, min)),
    atMost("bytesOverIdeal", metrics["bytesOverIdeal"] as number, BYTES_OVER_IDEAL_MAX),
    { metric: "sumsExact", bound: "true", holds: metrics["sumsExact"] === true },
  ];
}

const mode = options.control ? "control" : "measure";
const floats = (numberOf("megabytes", 512) * MEGABYTE) / 4;
const setting = {
  rounds: numberOf("rounds", 1000),
  repeats: numberOf("repeats", 5),
  fault: options.control ? ("late-twice-and-wrong" as const) : undefined,
};
const smaller = options.all ? [1024, 16_384, 262_144, 1_048_576] : [];
const folder = await mkdtemp(path.join(tmpdir(), "volary-allreduce-bench-"));
try {
  const mpi = await mpiProgram(folder);
  if ("absent" in mpi)
    for (const name of mpi.absent) console.error(`${name} is absent here: the ratios to Open MPI are left out`);
  const found: Found[] = [];
  for (const size of Object.keys(VS_MPI_MIN).map(Number)) {
    const sizes = [...smaller, floats];
    const program = "program" in mpi ? mpi.program : undefined;
    for (const of of await contest({ ...setting, size, sizes, mpiProgram: program })) {
      print(of);
      if (of.floats === floats) found.push(of);
    }
  }
  const metrics = { ...metricsOf(found), ...formErrors() };
  report({ name: "allreduce", metrics, checks: checksOf(metrics), mode, output: options.json ? "json" : "text" });
} finally {
  await rm(folder, { recursive: true });
}
