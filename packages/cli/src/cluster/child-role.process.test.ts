import { afterEach, expect, test } from "vitest";
import { ChildRole, type LogEntry } from "./child-role.ts";

const READY = `console.log(JSON.stringify({ ready: { role: "ps", name: "ps-1", address: "ws://here" } }));`;
const UNTIL_STDIN_ENDS = `process.stdin.resume().on("end", () => process.exit(0));`;
const DEAF = `process.stdin.resume(); setInterval(() => {}, 1000);`;

const children: ChildRole[] = [];
const entries: LogEntry[] = [];

function child(script: string, options: { stopTimeoutMs?: number } = {}): ChildRole {
  const made = new ChildRole({
    role: "ps",
    name: "ps-1",
    command: [process.execPath, "-e", script],
    log: (entry) => entries.push(entry),
    ...options,
  });
  children.push(made);
  return made;
}

afterEach(() => {
  for (const each of children.splice(0)) each.kill();
  entries.length = 0;
});

test("ready() is rejected with the last words of a child that ends first", async () => {
  const started = child(`console.error("volary: no coordinator at ws://x; start one"); process.exit(1);`);
  await expect(started.ready()).rejects.toThrow(
    "ps-1 ended (exit code 1) before it was ready: no coordinator at ws://x; start one",
  );
});

test("ready() is rejected when there is no such program", async () => {
  const started = new ChildRole({ role: "ps", name: "ps-1", command: ["/no/such/program"] });
  await expect(started.ready()).rejects.toThrow(/ps-1 ended \(.*ENOENT.*\) before it was ready/);
});

test("a child that ends unasked tells how, with its last lines", async () => {
  const started = child(`${READY} console.error("out of memory"); process.kill(process.pid, "SIGKILL");`);
  await started.ready();
  expect(await started.ended).toEqual({ how: "SIGKILL", wasAsked: false, lastLines: ["out of memory"] });
});

test("stop() ends a child gracefully by its stdin", async () => {
  const started = child(READY + UNTIL_STDIN_ENDS);
  expect(await started.ready()).toEqual({ role: "ps", name: "ps-1", address: "ws://here" });
  await started.stop();
  expect(await started.ended).toMatchObject({ how: "exit code 0", wasAsked: true });
});

test("stop() kills a child that does not listen", async () => {
  const started = child(READY + DEAF, { stopTimeoutMs: 50 });
  await started.ready();
  await started.stop();
  expect(await started.ended).toMatchObject({ how: "SIGKILL", wasAsked: true });
});

test("every line but the ready message is log, whatever printed it", async () => {
  const started = child(`console.log("Hi there"); ${READY} console.log("one"); console.error("two");`);
  await started.ready();
  const { lastLines } = await started.ended;
  expect([...lastLines].toSorted()).toEqual(["Hi there", "one", "two"]);
  expect(entries).toHaveLength(3);
  expect(entries[0]).toEqual({ process: "ps-1", line: "Hi there" });
});
