import { describe, expect, test } from "vitest";
import { serverUpdate } from "../optimizer/index.ts";
import { pluginOf, Plugins } from "./plugins.ts";

const SHA = "ab".repeat(32);
const OTHER_SHA = "cd".repeat(32);
const double = serverUpdate({
  name: "double",
  update: ({ weights }) => weights.forEach((w, i) => (weights[i] = 2 * w)),
});
const spec = { kind: "custom" as const, update: "double", sha256: SHA, options: {} };

describe("a node without the plugin", () => {
  test("says which function and file are missing, what it has, and the command that loads it", () => {
    expect(() => Plugins.none.serverUpdate(spec)).toThrow(
      'the job needs server update "double" of a plugin file with SHA-256 abababababab…, and this node has loaded ' +
        "no plugin: give it that file, as `volary ps --plugin FILE`",
    );
    const other = new Plugins([pluginOf({ file: "other.ts", sha256: SHA, module: {} })]);
    expect(() => other.trainingFunction({ function: "bpr", sha256: SHA })).toThrow(
      /training function "bpr" .* this node has loaded other\.ts: give it that file, as `volary worker --plugin FILE`/,
    );
  });
});

test("a file of other bytes is refused with both hashes", () => {
  const plugins = new Plugins([pluginOf({ file: "mine.ts", sha256: OTHER_SHA, module: { double } })]);
  expect(() => plugins.serverUpdate(spec)).toThrow(
    /SHA-256 abababababab…, and mine\.ts on this node has cdcdcdcdcdcd…/,
  );
});

test("two functions of one name are refused with their files", () => {
  const a = pluginOf({ file: "a.ts", sha256: SHA, module: { double } });
  const b = pluginOf({ file: "b.ts", sha256: OTHER_SHA, module: { double } });
  expect(() => new Plugins([a, b])).toThrow('server update "double" is there twice, in a.ts and b.ts');
});

test("a plugin's exports are found whatever they are called; what is not ours is left alone", () => {
  const module = { anything: double, again: double, number: 3, nothing: null, text: { kind: "poem", name: "x" } };
  const plugins = new Plugins([pluginOf({ file: "a.ts", sha256: SHA, module })]);
  expect(plugins.all[0]!.exports).toEqual([double]);
  expect(plugins.serverUpdate(spec)).toBe(double);
  expect(plugins.fileOf({ kind: "serverUpdate", name: "double" })?.sha256).toBe(SHA);
});
