import { spawnSync } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";

test("on a Node that is too old the program says so in one line", () => {
  const older = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })';
  const main = path.join(import.meta.dirname, "main.ts");
  const flags = ["--conditions=volary-source", "--import", `data:text/javascript,${encodeURIComponent(older)}`];
  const { status, stderr, stdout } = spawnSync(process.execPath, [...flags, main, "doctor"], { encoding: "utf8" });
  expect(stderr).toMatch(/^volary: this is Node .*, and Volary needs 22\.15 or later; .*\n$/);
  expect([status, stdout]).toEqual([2, ""]);
});
