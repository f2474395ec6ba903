import { mkdir, mkdtemp, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkFiles, noteFiles } from "./library-files.ts";

const LIBRARY = path.join("site", "tensorflow", "libtensorflow_cc.so.2");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-library-"));
  await mkdir(path.join(folder, "site", "tensorflow"), { recursive: true });
  await writeFile(path.join(folder, LIBRARY), "a long library");
  await writeFile(path.join(folder, "binding.node"), "binding");
  await writeFile(path.join(folder, "notes.txt"), "notes");
  noteFiles(folder);
});
afterEach(() => rm(folder, { recursive: true }));

test("checkFiles() has nothing against native files as they were noted, whatever other files are", async () => {
  await writeFile(path.join(folder, "notes.txt"), "others");
  checkFiles(folder);
});

test("checkFiles() names the file that was cut short, and the one that is gone", async () => {
  await truncate(path.join(folder, LIBRARY), 6);
  expect(() => checkFiles(folder)).toThrow(`${LIBRARY} has 6 of 14 bytes`);
  await unlink(path.join(folder, LIBRARY));
  expect(() => checkFiles(folder)).toThrow(`${LIBRARY} is missing`);
});

test("checkFiles() refuses a folder that nothing was noted of", async () => {
  await unlink(path.join(folder, "files.json"));
  expect(() => checkFiles(folder)).toThrow("files.json");
});
