import { expect, test } from "vitest";
import { cycles, importsOf, structureErrors } from "./check-structure.mjs";

const packages = [
  {
    folder: "packages/core",
    name: "@volary/core",
    exports: { ".": "./src/index.ts", "./wire": "./src/wire/index.ts", "./model": "./src/model/index.ts" },
  },
  { folder: "packages/ps-server", name: "@volary/ps-server", exports: { ".": "./src/index.ts" } },
  { folder: "packages/node-worker", name: "@volary/node-worker", exports: { ".": "./src/index.ts" } },
  { folder: "packages/cli", name: "volary", exports: { ".": "./src/index.ts" } },
  { folder: "sim", name: "@volary/sim", exports: {} },
];

/** @param {Record<string, string>} texts */
const errorsOf = (texts) =>
  structureErrors({
    files: Object.entries(texts).map(([path, text]) => ({ path, lines: 1, imports: importsOf(text) })),
    packages,
  });

test("importsOf() reads every form of import and no comment", () => {
  const text = `
    import { a, type B } from "./a.ts";
    import type { C } from "./c.ts"; // import "./no.ts"
    import "./effect.ts";
    /* import x from "./no.ts" */
    export { d } from "./d.ts";
    export type { E } from "./e.ts";
    import {
      f,
    } from "./f.ts";
    const g = await import("./g.ts");
    export const url = "https://example.org";
    export const from = "import";
  `;
  expect(importsOf(text)).toEqual([
    { specifier: "./a.ts", isType: false },
    { specifier: "./c.ts", isType: true },
    { specifier: "./effect.ts", isType: false },
    { specifier: "./d.ts", isType: false },
    { specifier: "./e.ts", isType: true },
    { specifier: "./f.ts", isType: false },
    { specifier: "./g.ts", isType: false },
  ]);
});

test("a clean layout has no errors", () => {
  expect(
    errorsOf({
      "packages/core/src/index.ts": `export { a } from "./wire/index.ts";`,
      "packages/core/src/wire/index.ts": `import { limit } from "../limits.ts";`,
      "packages/core/src/model/index.ts": `import * as tf from "@tensorflow/tfjs-core";\nimport "../wire/index.ts";`,
      "packages/ps-server/src/index.ts": `import { a } from "@volary/core/wire";\nimport { readFile } from "node:fs";`,
      "packages/cli/src/index.ts": `import "@volary/ps-server";\nimport "@volary/node-worker";`,
      "sim/src/main.ts": `import "volary";`,
    }),
  ).toEqual([]);
});

test("two folders that import each other are a cycle, across files and packages", () => {
  const errors = errorsOf({
    "packages/core/src/wire/a.ts": `import "../model/b.ts";`,
    "packages/core/src/model/c.ts": `import type { A } from "../wire/d.ts";`,
  });
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain("packages/core/src/wire → packages/core/src/model → packages/core/src/wire");
});

test("cycles() finds a long way round", () => {
  const graph = new Map([
    ["a", new Set(["b"])],
    ["b", new Set(["c", "d"])],
    ["d", new Set(["b"])],
  ]);
  expect(cycles(graph)).toEqual([["b", "d", "b"]]);
});

test.each([
  ["core imports a package", "packages/core/src/wire/a.ts", "volary", "may import no package"],
  ["core imports Node", "packages/core/src/wire/a.test.ts", "node:fs", "core runs without Node"],
  ["core's wire knows tfjs", "packages/core/src/wire/a.ts", "@tensorflow/tfjs-core", "know tfjs"],
  ["a PS imports a worker", "packages/ps-server/src/a.ts", "@volary/node-worker", "may import packages/core"],
  ["somebody imports sim", "packages/cli/src/a.ts", "@volary/sim", "nothing may import sim"],
  ["a deep import", "packages/cli/src/a.ts", "@volary/core/wire/frame.ts", "does not export"],
  ["a path into another package", "sim/src/a.ts", "../../packages/core/src/index.ts", "leaves its package"],
  ["a package names itself", "packages/core/src/a.ts", "@volary/core", "use a relative path"],
])("structureErrors() reports when %s", (_, path, specifier, message) => {
  expect(errorsOf({ [path]: `import "${specifier}";` })).toEqual([expect.stringContaining(message)]);
});

test("structureErrors() reports tfjs that a parameter server loads through others, but not its types", () => {
  const core = { "packages/core/src/model/index.ts": `import * as tf from "@tensorflow/tfjs-core";` };
  expect(errorsOf({ ...core, "packages/ps-server/src/a.ts": `import type { A } from "@volary/core/model";` })).toEqual(
    [],
  );
  expect(errorsOf({ ...core, "packages/ps-server/src/a.ts": `import { a } from "@volary/core/model";` })).toEqual([
    expect.stringContaining("packages/ps-server/src/a.ts → packages/core/src/model/index.ts"),
  ]);
});

test("structureErrors() reports a file of over 1000 lines", () => {
  const files = [{ path: "packages/core/src/a.ts", lines: 1001, imports: [] }];
  expect(structureErrors({ files, packages })).toEqual([expect.stringContaining("1001 lines")]);
});
