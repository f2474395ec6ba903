import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FileSpec } from "@volary/core/data";
import { resolveLocalFiles } from "./resolve-file.ts";

let root: string;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "volary-resolve-"));
  const files = {
    "node_modules/birds/package.json": '{ "name": "birds", "version": "1.2.3", "exports": {} }',
    "node_modules/birds/data/flock.parquet": "",
    "node_modules/@big/birds/package.json": '{ "name": "@big/birds" }',
    "node_modules/@big/birds/heron.parquet": "",
    "jobs/one/local.parquet": "",
    "other/node_modules/birds/package.json": '{ "name": "birds", "version": "9.9.9" }',
    "other/local.parquet": "",
    "days/10.csv": "",
    "days/9.csv": "",
    "days/.hidden.csv": "",
    "days/_SUCCESS": "",
    "days/notes.txt": "",
    "days/june/1.csv": "",
    "days/june/deep/2.csv": "",
    "days/july/a{1}.csv": "",
    "empty/.keep": "",
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
});

afterAll(() => rm(root, { recursive: true }));

const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });
type LocalFile = Extract<FileSpec, { kind: "npm" | "file" }>;
const resolveFile = async (file: LocalFile, baseDirs: string[]) => (await resolveLocalFiles(file, baseDirs)).join();
const at = (...parts: string[]): string => path.join(root, ...parts);

describe("resolveLocalFiles() of an npm file", () => {
  it("finds the package in a folder above, whatever its exports hide", async () => {
    const found = await resolveFile({ kind: "npm", path: "birds/data/flock.parquet" }, [at("jobs/one")]);
    expect(found).toBe(at("node_modules/birds/data/flock.parquet"));
  });

  it("takes a package with a scope, and looks on where a nearer copy of the package lacks the file", async () => {
    expect(await resolveFile({ kind: "npm", path: "@big/birds/heron.parquet" }, [at("jobs")])).toBe(
      at("node_modules/@big/birds/heron.parquet"),
    );
    expect(await resolveFile({ kind: "npm", path: "birds/data/flock.parquet" }, [at("other")])).toBe(
      at("node_modules/birds/data/flock.parquet"),
    );
  });

  it("says how to install a package that is missing", async () => {
    await expect(resolveFile({ kind: "npm", path: "vega-datasets/data/x.parquet" }, [at("jobs")])).rejects.toEqual(
      badData(
        `the data file "vega-datasets/data/x.parquet" lies in the npm package "vega-datasets", which is not installed in ${at("jobs")} or a folder above: run \`npm install vega-datasets\` there`,
      ),
    );
  });

  it("names the version of a package that lacks the file, and the file that was meant", async () => {
    await expect(resolveFile({ kind: "npm", path: "birds/data/flok.parquet" }, [at("jobs")])).rejects.toEqual(
      badData(
        `the npm package "birds" 1.2.3 in ${at("node_modules/birds")} has no file "data/flok.parquet"; did you mean "data/flock.parquet"?`,
      ),
    );
  });

  it.each(["birds", "birds/../../secret", "birds/data/../..", "@big/birds", "/etc/passwd", "..", "birds\\..\\..\\x/y"])(
    "refuses %j, which leaves the package or names no file in it",
    async (name) => {
      await expect(resolveFile({ kind: "npm", path: name }, [at("jobs")])).rejects.toEqual(
        badData(`npm file ${JSON.stringify(name)}: expected "package/path/inside", without ".."`),
      );
    },
  );
});

describe("resolveLocalFiles() of a plain file", () => {
  it("takes the first base folder that has it, and absolute paths", async () => {
    const plain = { kind: "file", path: "local.parquet" } as const;
    expect(await resolveFile(plain, [at("jobs/one"), at("other")])).toBe(at("jobs/one/local.parquet"));
    expect(await resolveFile(plain, [at("jobs"), at("other")])).toBe(at("other/local.parquet"));
    expect(await resolveFile({ kind: "file", path: at("other/local.parquet") }, [at("jobs")])).toBe(
      at("other/local.parquet"),
    );
  });

  it("says where it looked", async () => {
    await expect(resolveFile({ kind: "file", path: "none.parquet" }, [at("jobs"), at("other")])).rejects.toEqual(
      badData(
        `no file "none.parquet": looked for ${at("jobs/none.parquet")}, ${at("other/none.parquet")}; give an absolute path, or one relative to the job file, or to this folder where there is no job`,
      ),
    );
  });
});

describe("resolveLocalFiles() of a folder or a glob", () => {
  const found = async (pattern: string) =>
    (await resolveLocalFiles({ kind: "file", path: pattern }, [at(".")])).map((name) => path.relative(root, name));

  it("refuses one without files", async () => {
    await expect(found("empty")).rejects.toThrow(`the folder ${at("empty")} has no files; folders within are named by`);
    await expect(found("days/*.parquet")).rejects.toEqual(
      badData(
        `no file matches "days/*.parquet": looked for ${at("days/*.parquet")}; give an absolute path, or one relative to the job file, or to this folder where there is no job`,
      ),
    );
  });

  it("takes the files of a folder by name, hidden ones and writers' marks left out", async () => {
    expect(await found("days")).toEqual(["days/10.csv", "days/9.csv", "days/notes.txt"]);
  });

  it.each([
    ["days/*.csv", ["days/10.csv", "days/9.csv"]],
    ["days/?.csv", ["days/9.csv"]],
    ["days/[0-8]*.csv", ["days/10.csv"]],
    ["days/[!1]*.csv", ["days/9.csv"]],
    ["days/*.{csv,txt}", ["days/10.csv", "days/9.csv", "days/notes.txt"]],
    ["d*/june/*.csv", ["days/june/1.csv"]],
    ["days/**/[12].csv", ["days/june/1.csv", "days/june/deep/2.csv"]],
    ["days/june/**", ["days/june/1.csv", "days/june/deep/2.csv"]],
    ["days/july/a{1}.csv", ["days/july/a{1}.csv"]],
  ])("takes the files that match %s, by name", async (pattern, names) => {
    expect(await found(pattern)).toEqual(names);
  });
});
