import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { inspectFile } from "@volary/node-worker";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadJobFile } from "../job-file.ts";
import { labelOf, suggestedJob } from "./suggested-job.ts";

/** Inside the package, so that a job file finds what it imports. */
const DIST = path.join(import.meta.dirname, "../../dist");
let folder = "";

beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  folder = await mkdtemp(path.join(DIST, "suggested-"));
});
afterAll(() => rm(folder, { recursive: true }));

const inspect = async (name: string, text: string) => {
  const file = path.join(folder, name);
  await writeFile(file, text);
  return { file, report: await inspectFile({ kind: "file", path: file }, { rowsMax: 1000, baseDirs: [] }) };
};

const rows = (count: number, row: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => row(i)).join("\n");

describe("suggestedJob()", () => {
  it("embeds integers, but for those that have a sign", async () => {
    const { file, report } = await inspect(
      "signed.csv",
      `id,balance,y\n${rows(60, (i) => `${i % 9},${(i % 11) - 5},${i % 2}`)}`,
    );
    const job = suggestedJob(report, { path: file });
    expect(job).toContain('embedding({ table: "id"');
    expect(job).toContain('balance: standardise("balance")');
  });

  it("suggests nothing where no column is of use", async () => {
    const { file, report } = await inspect("ids.csv", `id\n${rows(300, (i) => `${i}x`)}`);
    expect(suggestedJob(report, { path: file })).toBeUndefined();
  });

  it.each([
    [
      "mixed.csv",
      `row,city,price,at,age,same,clicked\n${rows(200, (i) => `${i},${i % 7 === 0 ? "" : `c${i % 9}`},${i / 8},2001-01-0${1 + (i % 9)},${i % 5 === 0 ? "" : i % 60},1.5,${i % 2}`)}`,
      ["city", "price", "at_hour", "at_weekday", "age", "same"],
    ],
    ["words.csv", `kind,y\n${rows(60, (i) => `k${i % 3},${i % 2 ? "yes" : "no"}`)}`, ["kind"]],
    ["tagged.csv", `tags,y\n${rows(60, (i) => `${i % 3 === 0 ? "" : `a|t${i % 4}`},${i % 2}`)}`, ["tags"]],
    ["semicolons.csv", `a b;y\n${rows(50, (i) => `x${i % 3};${i}.5`)}`, ["a_b"]],
    [
      "lists.jsonl",
      rows(60, (i) => `{"tags": ["t${i % 4}", "u"], "vector": [${i}.5, 2], "label": ${i % 2}}`),
      ["tags", "vector"],
    ],
    ["sparse.svm", rows(60, (i) => `${i % 2} ${i % 9}:1 12:0.5`), ["indices"]],
  ])("gives a job for %s that loads as it stands", async (name, text, fields) => {
    const { file, report } = await inspect(name, text);
    const jobFile = `${file}.ts`;
    await writeFile(jobFile, suggestedJob(report, { path: file })!);
    const job = await loadJobFile(jobFile);
    expect(Object.keys(job.data.fields)).toEqual(fields);
  });

  it("takes as label what is named as one, else zeros and ones", async () => {
    const { report } = await inspect("labels.csv", `a,b,Target\n${rows(40, (i) => `${i % 2},${i % 3},${i}`)}`);
    expect(labelOf(report)).toMatchObject({ column: { name: "Target" }, isBinary: false });
    const other = await inspect("labels2.csv", `a,b\n${rows(40, (i) => `${i % 2},${i % 3}`)}`);
    expect(labelOf(other.report)).toMatchObject({ column: { name: "a" }, isBinary: true });
    const words = await inspect("labels3.csv", `a,b\n${rows(40, (i) => `${i % 3},${i % 2 ? "yes" : "no"}`)}`);
    expect(labelOf(words.report)).toMatchObject({ isBinary: true, label: 'equals("b", "yes")' });
    const none = await inspect("labels4.csv", `a,b\n${rows(40, (i) => `${i % 3},${i % 7}.5`)}`);
    expect(labelOf(none.report)).toBeUndefined();
  });
});
