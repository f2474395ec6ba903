/** A device that does not work here ends the command with words, and is replaced by no other. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";

const nothingInstalled = mkdtempSync(path.join(tmpdir(), "volary-no-devices-"));
afterAll(() => rmSync(nothingInstalled, { recursive: true, force: true }));

function volary(...args: string[]) {
  const main = path.join(import.meta.dirname, "main.ts");
  return spawnSync(process.execPath, ["--conditions=volary-source", main, ...args], {
    encoding: "utf8",
    env: { ...process.env, VOLARY_DEVICES: nothingInstalled },
  });
}

test.each([
  ["worker", "--device", "cuda"],
  ["worker", "--device", "tensorflow"],
  ["worker", "--devices", "0"],
  ["up", "--device", "cuda", "--workers", "1", "--ps", "1", "--port", "0"],
])("volary %s %s %s ends with code 2, one line and the remedy", (...args) => {
  const { status, stderr, stdout } = volary(...args);
  expect(status, stderr).toBe(2);
  const last = stderr.trimEnd().split("\n").at(-1);
  expect(last).toMatch(/^volary: .*device (cuda|tensorflow) does not work here: .*(install|driver)/);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stdout).toBe("");
});
