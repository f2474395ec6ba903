import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadPlugins, plugin } from "./plugin-file.ts";

/** As `serverUpdate()` makes it; a temporary folder has no packages to import. */
const SOURCE = `export const twice = { kind: "serverUpdate", name: "twice", options: {}, stateWidth: () => 0 };`;

let folder = "";
const at = (name: string) => path.join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-plugin-"));
  await writeFile(at("good.mjs"), SOURCE);
  await writeFile(at("bad.mjs"), "throw new Error('not today');");
});
afterAll(() => rm(folder, { recursive: true }));

test("a file that is not there, or fails, is named with its fault", async () => {
  await expect(loadPlugins([at("none.ts")])).rejects.toThrow(/plugin file .*none\.ts cannot be read: there is none/);
  await expect(loadPlugins([at("bad.mjs")])).rejects.toThrow(/bad\.mjs failed while it was loaded: not today/);
  expect(() => plugin(at("none.ts"), "x")).toThrow(/none\.ts cannot be read/);
});

test("a file is loaded once, and named by the hash of its bytes", async () => {
  const plugins = await loadPlugins([at("good.mjs"), pathToFileURL(at("good.mjs"))]);
  const sha256 = createHash("sha256").update(SOURCE).digest("hex");
  expect(plugins.all).toMatchObject([{ sha256, exports: [{ name: "twice" }] }]);
  const spec = plugin(at("good.mjs"), "twice", { rate: 2 });
  expect(spec).toEqual({ kind: "custom", update: "twice", sha256, options: { rate: 2 } });
  expect(plugins.serverUpdate(spec).name).toBe("twice");
});
