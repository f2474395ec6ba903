import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";

const MAIN = path.join(import.meta.dirname, "main.ts");
/** Inside the package, so that a job file finds what it imports. */
const DIST = path.join(import.meta.dirname, "../dist");
/** No program listens at a port that only a system's own may take; a free one may be another's by the time it is dialed. */
const NOBODY = "ws://127.0.0.1:1";

let folder = "";
beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  folder = await mkdtemp(path.join(DIST, "bad-input-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the command from source. */
async function volary(
  args: readonly string[],
  { env = {}, cwd = folder }: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
) {
  const child = spawn(process.execPath, ["--conditions=volary-source", MAIN, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, VOLARY_DEBUG: "0", ...env },
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await closed;
  return { code, stdout, stderr };
}

const job = (name: string) => path.join(folder, name);

/** One line that starts with the command's name, and no stack. */
function expectOneLine(stderr: string, message: RegExp): void {
  expect(stderr.trimEnd()).toMatch(message);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stderr).toMatch(/^volary: /);
  expect(stderr).not.toMatch(/^ {4}at /m);
}

test.concurrent.each([
  ["no job file", ["train"], /missing required argument 'job-file'; see `volary train --help`/],
  ["an unknown command", ["trian"], /unknown command 'trian' \(Did you mean train\?\); see `volary --help`/],
  ["an unknown option", ["train", "a.ts", "--sav", "x"], /unknown option '--sav' \(Did you mean --save\?\)/],
  ["a port that is none", ["coordinator", "--port", "70000"], /'70000' is invalid. Give a port from 0 to 65535/],
  [
    "a number of workers that is none",
    ["up", "--workers", "two"],
    /'two' is invalid. Give a whole number from 1 to 256/,
  ],
  ["an address that is none", ["status", "--coordinator", "http://x"], /Give ws:\/\/HOST:PORT or wss:\/\/HOST/],
  ["a device that is none", ["worker", "--device", "tpu"], /Allowed choices are auto, cuda, webgpu/],
  [
    "a cluster of its own and another",
    ["train", "a.ts", "--ps", "2", "--coordinator", "ws://x"],
    /cannot be used with option '--ps <count>'/,
  ],
  ["rows that are none", ["predict", "m", "--data", "d", "--rows", "0"], /Give a whole number from 1, or "all"/],
])("usage: %s is told in one line, exit code 2", async (_, args, message) => {
  const { code, stdout, stderr } = await volary(args);
  expectOneLine(stderr, message);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
});

test.concurrent.each([
  ["missing.ts", undefined, /^volary: no job file missing\.ts \(looked for .+\); give the path/],
  ["table.csv", "a,b", /job file table\.csv is not TypeScript or JavaScript; its name must end in \.ts/],
  ["empty.ts", "const a = 1;", /job file empty\.ts exports nothing; end the file with `export default defineJob\(/],
  ["named.ts", "export const job = 1;", /job file named\.ts exports job, but no default; end the file/],
  ["five.ts", "export default 5;", /default export of job file five\.ts is 5, not a job; end the file/],
  ["function.ts", "export default () => {};", /default export of job file function\.ts is a function, not a job/],
  ["other.ts", "export default { name: 'x', modle: 1 };", /other\.ts is not a job \(defineJob\(\): "modle" is unknown/],
  ["syntax.ts", "const a = 1;\nconst b = ;\n", /job file syntax\.ts, line 2, has a syntax error: .*; correct it there/],
  [
    "syntax.mjs",
    "const a = 1;\n\nconst b = ;\n",
    /job file syntax\.mjs, line 3, has a syntax error: .*; correct it there/,
  ],
  ["enum.ts", "enum A { B }", /job file enum\.ts.* uses TypeScript that Node cannot strip/],
  [
    "import.ts",
    `import "@no/such-package";`,
    /job file import\.ts imports what is not there: .*@no\/such-package.*; correct the import/,
  ],
  ["name.ts", `import { defineJbo } from "@volary/core";`, /job file name\.ts.* has a syntax error: .*defineJbo/],
  ["throws.ts", `\n\nthrow new Error("no luck");`, /job file throws\.ts, line 3, failed while it was loaded: no luck/],
  [
    "optimizer.ts",
    `import { defineJob } from "@volary/core";\nexport default defineJob({ name: "x" });`,
    /job file optimizer\.ts, line 2, failed while it was loaded: job "x"/,
  ],
])("train %s is told in one line, exit code 1", async (file, content, message) => {
  if (content !== undefined) await writeFile(job(file), content);
  const { code, stdout, stderr } = await volary(["train", file]);
  expectOneLine(stderr, message);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
});

test("VOLARY_DEBUG=1 shows the stack and its cause", async () => {
  await writeFile(job("debug.ts"), `throw new Error("no luck");`);
  const { stderr } = await volary(["train", "debug.ts"], { env: { VOLARY_DEBUG: "1" } });
  expect(stderr).toMatch(/^ {4}at /m);
  expect(stderr).toMatch(/caused by Error: no luck/);
});

test("a folder that the model cannot be saved to is told before anything is trained", async () => {
  await writeFile(job("fine.ts"), FINE_JOB);
  await writeFile(job("taken"), "");
  const { code, stderr } = await volary(["train", "fine.ts", "--save", path.join("taken", "model")]);
  expectOneLine(stderr, /cannot save the model to taken\/model: a part of the path is a file; give another folder/);
  expect(code).toBe(1);
});

test("a coordinator that is not there is named, with the remedy", async () => {
  for (const args of [["status"], ["train", "fine.ts"]]) {
    await writeFile(job("fine.ts"), FINE_JOB);
    const { code, stderr } = await volary([...args, "--coordinator", NOBODY]);
    expectOneLine(stderr, new RegExp(`cannot connect to ${NOBODY}: .*; is a coordinator running there\\?`));
    expect(code).toBe(1);
  }
});

test("a port in use is named, with the remedy", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { code, stderr } = await volary(["coordinator", "--port", String(port)]);
  server.close();
  expectOneLine(stderr, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use; .*--port`));
  expect(code).toBe(1);
});

test("a state folder that is a file is named", async () => {
  await writeFile(job("state"), "");
  const { code, stderr } = await volary(["coordinator", "--port", "0", "--state", job("state")]);
  expectOneLine(stderr, /cannot keep state in .*state: .*; give a folder that you may write to/);
  expect(code).toBe(1);
});

test("predict names a folder that holds no model, and one that is not there", async () => {
  const nothing = await volary(["predict", folder, "--data", "a.parquet"]);
  expectOneLine(
    nothing.stderr,
    /holds no saved model: it has no model\.json; give the folder that `volary train --save` wrote/,
  );
  const nowhere = await volary(["predict", "no-such-folder", "--data", "a.parquet"]);
  expectOneLine(nowhere.stderr, /model folder no-such-folder does not exist/);
  expect([nothing.code, nowhere.code]).toEqual([1, 1]);
});

test("bench forwards to the checkout that the command lies in, with its exit code", async () => {
  const { code, stderr } = await volary(["bench", "no-such-bench"]);
  expect(stderr).toContain('no bench "no-such-bench"');
  expect(code).toBe(2);
});

const FINE_JOB = `
import { defineJob, file, parquet } from "@volary/core";
export default defineJob({
  name: "fine",
  data: parquet(file("a.parquet"), { fields: { a: "a" }, label: "b" }),
  model() { throw new Error("never called"); },
  compile: { optimizer: "adam", loss: "meanSquaredError" },
  fit: { batchSize: 8 },
});`;
