import { expect, test } from "vitest";
import { childExecArgv, deathText, LocalCluster } from "./local-cluster.ts";

test.each([
  [
    "keeps what concerns every process",
    ["--max-old-space-size=4096", "--enable-source-maps"],
    ["--max-old-space-size=4096", "--enable-source-maps"],
  ],
  ["drops the code of node -e", ["-e", "import('volary')", "--no-warnings"], ["--no-warnings"]],
  ["drops debugger and test flags", ["--inspect-brk=9229", "--test", "--watch"], []],
])("childExecArgv() %s", (_, given, kept) => {
  expect(childExecArgv(given, { fromSource: false })).toEqual(kept);
});

test("childExecArgv() runs the children of source from source", () => {
  expect(childExecArgv([], { fromSource: true })).toEqual(["--conditions=volary-source"]);
  expect(childExecArgv(["--conditions=volary-source"], { fromSource: true })).toEqual(["--conditions=volary-source"]);
});

test.each([
  [{ ps: 0, workers: 1 }, "ps: 0"],
  [{ ps: 1, workers: 1.5 }, "workers: 1.5"],
  [{ ps: 1, workers: 100_000 }, "from 1 to 256"],
  [{ ps: 1, workers: 1, replicas: 0 }, "replicas: 0"],
  [{ ps: 1, workers: 1, replicas: 9 }, "from 1 to 8"],
])("LocalCluster.start(%o) is refused", async (options, message) => {
  await expect(LocalCluster.start(options)).rejects.toThrow(new RegExp(`^a local cluster .*${message}`));
});

test("deathText() names the process, how it ended and what it said last", () => {
  const lastLines = ["one", "two", "three", "four", "five", "six"];
  const text = deathText({ role: "ps", name: "ps-2", how: "SIGKILL", wasAsked: false, lastLines });
  expect(text).toBe("ps-2 ended unexpectedly (SIGKILL); its last lines:\n  two\n  three\n  four\n  five\n  six");
});
