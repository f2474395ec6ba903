import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import type { Clock } from "@volary/core/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openTensorBoardLog } from "./tensorboard-log.ts";
import { decodedEvents } from "./testing/decode-events.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-events-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Runs what waits when the test says so. */
function handClock() {
  const waiting: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    after: (_, run) => {
      waiting.push(run);
      return () => void waiting.splice(waiting.indexOf(run), 1);
    },
  };
  return { clock, waiting };
}

const open = (clock: Clock, warnings: string[] = []) =>
  openTensorBoardLog(path.join(folder, "logs"), {
    clock,
    nowMs: 1_700_000_000_000,
    onWarning: (message) => warnings.push(message),
  });

const event = (step: number) => ({ atMs: 1_700_000_000_000 + step, step, scalars: { loss: step } });

test("a folder that cannot be made is refused at once, with the remedy", async () => {
  await writeFile(path.join(folder, "logs"), "");
  await expect(open(handClock().clock)).rejects.toThrow(/cannot write .*events\.out.*; give a folder .* --tensorboard/);
});

test("the file has TensorBoard's name and is readable from the first moment", async () => {
  const log = await open(handClock().clock);
  await log.close();
  expect(await readdir(path.join(folder, "logs"))).toEqual([path.basename(log.file)]);
  expect(path.basename(log.file)).toBe(`events.out.tfevents.1700000000.${hostname()}.${process.pid}.0`);
  expect(decodedEvents(await readFile(log.file))).toMatchObject([{ fileVersion: "brain.Event:2" }]);
});

test("events are written together, once for each wait", async () => {
  const { clock, waiting } = handClock();
  const log = await open(clock);
  for (const step of [1, 2, 3]) log.write(event(step));
  expect(waiting).toHaveLength(1);
  waiting.shift()!();
  log.write(event(4));
  expect(waiting).toHaveLength(1);
  await log.close();
  expect(waiting).toHaveLength(0);
  const steps = decodedEvents(await readFile(log.file)).map(({ step }) => step);
  expect(steps).toEqual([0, 1, 2, 3, 4]);
});

test("events that no disk takes in are counted, not kept", async () => {
  const warnings: string[] = [];
  const log = await open(handClock().clock, warnings);
  const tag = "x".repeat(1024 * 1024);
  for (let step = 1; step <= 6; step++) log.write({ ...event(step), scalars: { [tag]: 1 } });
  await log.close();
  const events = decodedEvents(await readFile(log.file));
  expect(events.length - 1).toBeLessThan(5);
  expect(warnings).toEqual([expect.stringContaining(`lacks ${6 - (events.length - 1)} events`)]);
});
