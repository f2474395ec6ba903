import { expect, test } from "vitest";
import { lastWords, runTool } from "./run-tool.ts";

const failing = (says: string, code = 1) =>
  runTool({ purpose: "download it", program: "sh", args: ["-c", `printf '%s\n' "$0" >&2; exit ${code}`, says] });

test("runTool() gives what a program printed, and adds to its environment", async () => {
  const printed = await runTool({ purpose: "see", program: "sh", args: ["-c", "echo $WORD"], env: { WORD: "here" } });
  expect(printed).toBe("here\n");
});

test("runTool() says how a program that is missing comes to the machine", async () => {
  await expect(runTool({ purpose: "compile it", program: "no-such-compiler", args: [] })).rejects.toThrow(
    "cannot compile it: there is no no-such-compiler on this machine; check its name and PATH",
  );
});

test.each([
  ["/usr/bin/python3: No module named pip", "install pip (Debian, Ubuntu: apt install python3-pip"],
  ["OSError: [Errno 28] No space left on device", "free disk space, or name a folder on another disk"],
  ["npm error code ENOTFOUND\nnpm error network request to https://registry failed", "check the network and its proxy"],
  ["WARNING: Retrying\nERROR: Could not find a version\nERROR: No matching distribution found", "has this release"],
  ["SSLError(CERTIFICATE_VERIFY_FAILED)", "give pip (PIP_CERT) and npm (cafile)"],
  ["mkdir: Permission denied", "name a folder you may write to in the variable VOLARY_DEVICES"],
])("runTool() knows a remedy for %j", async (says, remedy) => {
  await expect(failing(says)).rejects.toThrow(remedy);
});

test("runTool() passes on the words and the exit code of a failure that it knows nothing of", async () => {
  await expect(failing("odd", 7)).rejects.toThrow(/^cannot download it: sh ended with exit code 7 \(odd\)$/);
  await expect(runTool({ purpose: "see", program: "sh", args: ["-c", "kill -9 $$"] })).rejects.toThrow(
    "cannot see: sh ended with SIGKILL (it said nothing)",
  );
});

test.each([
  ["one\ntwo\n\n", "two"],
  ["In file:\nx.cc:1: fatal error: no header\ncompilation terminated.", "x.cc:1: fatal error: no header"],
  ["npm error code E404\nnpm error 404 Not Found - GET https://r/x", "npm error 404 Not Found - GET https://r/x"],
  ["WARNING: an error follows\nERROR: No matching distribution", "ERROR: No matching distribution"],
])("lastWords() of %j are what went wrong", (output, words) => {
  expect(lastWords(output)).toBe(words);
});
