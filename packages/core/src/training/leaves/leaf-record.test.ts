/** Leaving and coming again gains nothing: neither time that steps wait, nor updates that cannot be right. */
import { expect, test } from "vitest";
import { LIMITS } from "../../limits.ts";
import type { Link } from "../../wire/index.ts";
import { LeafRecords } from "./leaf-record.ts";
import { LeafBench, type Tamper } from "./test-leaves.ts";

/** A volunteer whose values are NaN while `lies()`. */
const lying =
  (lies: () => boolean): Tamper =>
  (link): Link => ({
    get name() {
      return link.name;
    },
    listen: (events) => link.listen(events),
    sendControl: (control) => link.sendControl(control),
    sendFrame: (f, onSent) => link.sendFrame(lies() ? { ...f, values: f.values.map(() => NaN) } : f, onSent),
    close: (reason) => link.close(reason),
  });

test("who takes a task, never answers, leaves and comes again holds steps up once, not each time", async () => {
  const bench = new LeafBench();
  const [alone, rounds] = [1024 * 0.1, 30];
  let total = 0;
  for (let i = 0; i < rounds; i++) {
    const { session } = await bench.join(1, { msPerSample: 1e6, probeMs: 0.1, host: `link-${i}` });
    total += (await bench.step()).ms;
    total += (await bench.step()).ms;
    session.stop();
    await bench.clock.advance(10);
  }
  expect(total).toBeLessThan(2 * rounds * alone * (1 + LIMITS.leafSlowdownMax) + LIMITS.leafFirstMs + 2 * alone);
});

test("faults add up over links, and who is expelled is not taken again", async () => {
  const bench = new LeafBench();
  const ends: unknown[] = [];
  for (let i = 1; i <= LIMITS.leafRefusalsMax; i++) {
    const { session, refused, ended } = await bench.join(1, { tamper: lying(() => true), host: `link-${i}` });
    for (let n = 0; n < 10 && refused.length === 0; n++) await bench.step();
    session.stop();
    await bench.clock.advance(10);
    ends.push(...ended);
  }
  expect(ends.at(-1)).toMatchObject({ code: "UPDATE_NOT_FINITE", mayReturn: false });
  expect(bench.told.filter(({ type }) => type === "expel")).toHaveLength(1);
  const again = await bench.join(1, { host: "another link" });
  await bench.step();
  expect(again.computed).toEqual([]);
  expect(again.ended).toMatchObject([{ code: "UPDATE_NOT_FINITE", mayReturn: false }]);
});

test("an update that only comes late is no fault", async () => {
  const bench = new LeafBench();
  let lies = false;
  const { host, refused, ended } = await bench.join(1, { tamper: lying(() => lies) });
  const late = () => refused.filter(({ code }) => code === "UPDATE_LATE").length;
  for (let i = 0; i < 6; i++) await bench.step();
  for (let paused = 1; paused < LIMITS.leafRefusalsMax; paused++) {
    host.pause(3_000);
    for (let n = 0; n < 100 && late() < paused; n++) await bench.step();
    for (let i = 0; i < 6; i++) await bench.step();
  }
  lies = true;
  await bench.step();
  lies = false;
  for (let i = 0; i < 6; i++) await bench.step();
  expect(refused.map(({ code }) => code)).toEqual(["UPDATE_LATE", "UPDATE_LATE", "UPDATE_NOT_FINITE"]);
  expect(ended).toEqual([]);
});

test("of gradients without end no more is kept than shows that they are too many", async () => {
  const bench = new LeafBench();
  const tamper: Tamper = (link) => ({
    ...lying(() => false)(link),
    sendFrame: (f, onSent) => link.sendFrame({ ...f, values: new Float32Array(100_000) }, onSent),
  });
  const { refused } = await bench.join(1, { tamper });
  for (let i = 0; i < 4; i++) await bench.step();
  expect(refused[0]).toMatchObject({ code: "UPDATE_SHAPE" });
  expect(refused[0]!.message).not.toContain("100000");
});

test("records are bounded, and those who came last are remembered", () => {
  const records = new LeafRecords();
  const first = records.of(0);
  for (let volunteer = 1; volunteer < LIMITS.leafRecordsMax; volunteer++) records.of(volunteer);
  expect(records.of(0)).toBe(first);
  records.of(LIMITS.leafRecordsMax);
  expect(records.size).toBe(LIMITS.leafRecordsMax);
  expect(records.of(0)).toBe(first);
});
