/** From a CSV file with broken rows to predictions, by the command line alone. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";

const MAIN = path.join(import.meta.dirname, "../main.ts");
/** Inside the package, so that a job file finds what it imports. */
const DIST = path.join(import.meta.dirname, "../../dist");
const ROWS = 2_000;
const NEW_ROWS = 200;
const PAGES = 50;

let folder = "";
beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  folder = await mkdtemp(path.join(DIST, "broken-rows-"));
  await writeFile(
    path.join(folder, "visits.csv"),
    csvText(visits(ROWS), { 10: "2,eleven,1", 500: "3,4", 1_500: "4,,1" }),
  );
  // Rows to predict need no label.
  const rows = visits(NEW_ROWS).map(({ page, seconds }) => `${page},${seconds}`);
  await writeFile(path.join(folder, "new.csv"), ["page,seconds", ...rows].join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

interface Visit {
  page: number;
  seconds: number;
}

const visits = (rows: number): Visit[] =>
  Array.from({ length: rows }, (_, i) => ({ page: i % PAGES, seconds: (i * 37) % 120 }));
const isSold = ({ page, seconds }: Visit): boolean => Math.sin(page) + seconds / 60 - 1 > 0;

/** @param broken what stands in place of a row, by its number */
function csvText(rows: readonly Visit[], broken: Readonly<Record<number, string>> = {}): string {
  const lines = rows.map((visit, i) => broken[i] ?? `${visit.page},${visit.seconds},${isSold(visit) ? 1 : 0}`);
  return ["page,seconds,sold", ...lines, ""].join("\n");
}

const jobFile = (badRowsMax: number): string => `
import * as tf from "@tensorflow/tfjs";
import { adam, csv, defineJob, embedding, fraction, input, standardise, through } from "@volary/core";

export default defineJob({
  name: "visits",
  data: csv("visits.csv", {
    fields: { page: "page", seconds: standardise("seconds") },
    types: { page: "int64", seconds: "number", sold: "number" },
    label: "sold",
    test: fraction(0.25),
    badRowsMax: ${badRowsMax},
  }),
  model() {
    const page = input({ name: "page", dtype: "int64" });
    const seconds = input({ name: "seconds", dtype: "float32" });
    const sold = through(
      [embedding({ table: "page", dim: 4 }).apply(page), seconds],
      tf.layers.concatenate(),
      tf.layers.dense({ units: 8, activation: "relu" }),
      tf.layers.dense({ units: 1, activation: "sigmoid" }),
    );
    return tf.model({ inputs: [page, seconds], outputs: sold });
  },
  compile: { optimizer: adam({ learningRate: 0.02 }), loss: "binaryCrossentropy", metrics: ["auc"] },
  fit: { epochs: 6, batchSize: 100 },
});
`;

/** Runs the command from source, in another folder than the job's. */
async function volary(...args: readonly string[]) {
  const child = spawn(process.execPath, ["--conditions=volary-source", MAIN, ...args], {
    cwd: DIST,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, VOLARY_DEBUG: "0" },
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

const inFolder = (name: string): string => path.join(folder, name);

async function train(badRowsMax: number) {
  const file = inFolder(`job-${badRowsMax}.mjs`);
  await writeFile(file, jobFile(badRowsMax));
  const roles = ["--ps", "1", "--workers", "2", "--device", "cpu"];
  return volary("train", file, ...roles, "--save", inFolder(`model-${badRowsMax}`), "--json");
}

test("one broken row too many ends the job, and names the files' lines and the remedies", async () => {
  const { code, stdout, stderr } = await train(2);
  const last = stderr.trimEnd().split("\n").at(-1)!;
  expect(last).toMatch(/^volary: job "visits" .* failed: 3 of 2000 rows cannot be used, and badRowsMax is 2\. /);
  expect(last).toContain('visits.csv:12: column "seconds" is "eleven"; expected a number');
  expect(last).toContain("visits.csv:502: 2 columns; expected 3");
  expect(last).toContain('visits.csv:1502: field "seconds": column "seconds" is missing');
  expect(last).toMatch(/withDefault\(…\), or leave such rows out with badRowsMax: 3$/);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
});

test("as many broken rows as are allowed are left out and told of, and the saved model predicts", async () => {
  const { code, stdout, stderr } = await train(3);
  expect(code).toBe(0);
  expect(stderr).toMatch(/3 bad rows left out, as .*visits\.csv:12: column "seconds" is "eleven"/);
  const figures = JSON.parse(stdout) as { metrics: { auc: number }; testRows: number; badRows: number };
  expect(figures).toMatchObject({ job: "visits", phase: "done", badRows: 3, saved: { rows: PAGES } });
  expect(figures.testRows).toBeGreaterThan(400);
  // Seen in five runs: at least .999.
  expect(figures.metrics.auc).toBeGreaterThan(0.97);

  const { stdout: printed } = await volary(
    "predict",
    inFolder("model-3"),
    "--data",
    inFolder("new.csv"),
    "--json",
    "--rows",
    "all",
  );
  const { predictions, rowsInFile } = JSON.parse(printed) as { predictions: number[]; rowsInFile: number };
  expect(rowsInFile).toBe(NEW_ROWS);
  const right = visits(NEW_ROWS).filter((visit, i) => isSold(visit) === predictions[i]! > 0.5);
  expect(right.length).toBeGreaterThan(0.9 * NEW_ROWS);

  await writeFile(inFolder("gap.csv"), "page,seconds\n1,10\n2,\n3,30\n");
  const gap = ["predict", inFolder("model-3"), "--data", inFolder("gap.csv"), "--out", inFolder("gap-out.csv")];
  const refused = await volary(...gap);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(/1 of 3 rows cannot be predicted.*gap\.csv:3: .*missing.*with --bad-rows-max 1$/m);
  const allowed = await volary(...gap, "--bad-rows-max", "1");
  expect(allowed).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/1 row of .* without a prediction, as .*gap\.csv:3/),
  });
  expect(await readFile(inFolder("gap-out.csv"), "utf8")).toMatch(/^row,prediction\n0,[\d.e-]+\n1,\n2,[\d.e-]+\n$/);
});
