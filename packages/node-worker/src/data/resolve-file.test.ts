import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveFile } from "./resolve-file.ts";

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
  };
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(root, name)), { recursive: true });
    await writeFile(path.join(root, name), text);
  }
});

afterAll(() => rm(root, { recursive: true }));

const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });
const at = (...parts: string[]): string => path.join(root, ...parts);

describe("resolveFile() of an npm file", () => {
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

describe("resolveFile() of a plain file", () => {
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
        `no file "none.parquet": looked for ${at("jobs/none.parquet")}, ${at("other/none.parquet")}; give a path relative to the job file, or an absolute one`,
      ),
    );
  });
});
