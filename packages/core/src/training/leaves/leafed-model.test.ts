import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../limits.ts";
import type { Control, ControlOf, Frame, Link } from "../../wire/index.ts";
import { DistinctRows } from "./distinct-rows.ts";
import { DIM, inputOf, LeafBench, type Tamper } from "./test-leaves.ts";

/** Changes the frames that a volunteer sends. */
const sending =
  (change: (f: Frame) => Frame): Tamper =>
  (link) => ({
    get name() {
      return link.name;
    },
    listen: (events) => link.listen(events),
    sendControl: (control) => link.sendControl(control),
    sendFrame: (f, onSent) => link.sendFrame(change(f), onSent),
    close: (reason) => link.close(reason),
  });

/** Changes what a volunteer says that an update is. */
const saying =
  (change: (update: ControlOf<"leaf-update">) => Control): Tamper =>
  (link) => ({
    get name() {
      return link.name;
    },
    listen: (events) => link.listen(events),
    sendControl: (control) => link.sendControl(control.type === "leaf-update" ? change(control) : control),
    sendFrame: (f, onSent) => link.sendFrame(f, onSent),
    close: (reason) => link.close(reason),
  });

const times = (factor: number): Tamper => sending((f) => ({ ...f, values: f.values.map((value) => value * factor) }));

const leavesTold = (told: readonly Control[]) => told.findLast(({ type }) => type === "leaves");

describe("LeafedModel", () => {
  test("gives what its model would, whoever computes; all that a volunteer computed is counted once", async () => {
    const bench = new LeafBench();
    const leaves = [await bench.join(1), await bench.join(2, { msPerSample: 0.05 })];
    for (let i = 0; i < 40; i++) {
      const { got, want } = await bench.step();
      expect(got).toEqual(want);
    }
    bench.leafed.dispose();
    await bench.clock.advance(100);
    for (const { computed, accepted, refused, ended } of leaves) {
      expect(computed.length).toBeGreaterThan(30);
      expect(accepted.map(({ samples }) => samples)).toEqual(computed);
      expect(new Set(accepted.map(({ step }) => step)).size).toBe(accepted.length);
      expect(refused).toEqual([]);
      expect(ended).toEqual([
        { code: "NO_REDUCER", reason: expect.stringContaining("over") as string, mayReturn: true },
      ]);
    }
  });

  test("a fast volunteer is given more, a slow one less, and no step takes much longer than it would alone", async () => {
    const bench = new LeafBench();
    const fast = await bench.join(1, { msPerSample: 0.02 });
    const slow = await bench.join(2, { msPerSample: 30 });
    const alone = 1024 * 0.1;
    let total = 0;
    for (let i = 0; i < 200; i++) total += (await bench.step()).ms;
    expect(fast.computed.at(-1)).toBeGreaterThanOrEqual(256);
    expect(slow.computed.length).toBeGreaterThan(3);
    expect(Math.max(...slow.computed)).toBe(LIMITS.leafSamplesMin);
    expect(total).toBeLessThan(
      200 * alone * (1 + LIMITS.leafSlowdownMax) + 2 * LIMITS.leafPatienceMs + LIMITS.leafLongestMs,
    );
  });

  test("who says that it is fast and is not costs nothing", async () => {
    const bench = new LeafBench();
    await bench.join(1, { msPerSample: 1000, probeMs: 0.1 });
    for (let i = 0; i < 3; i++) {
      const { ms, got, want } = await bench.step();
      expect(got).toEqual(want);
      expect(ms).toBeLessThan(1024 * 0.1 + 1);
    }
  });

  test("a row that samples share is sent once, and what comes back is one sum, whose shares count as what was summed", async () => {
    const ROWS = 8;
    const bench = new LeafBench({ combine: "centered-clip", audit: 1, rows: ROWS });
    const floats = new Set<number>();
    const counted = sending((f) => {
      if (f.opcode === "leafRowGradients") floats.add(f.values.length);
      return f;
    });
    const [honest, liar] = [await bench.join(1, { tamper: counted }), await bench.join(2, { tamper: times(-1) })];
    for (let step = 1; step <= 6; step++) {
      const { got, want } = await bench.step();
      const distinct = new DistinctRows({
        ids: inputOf(step, { rows: ROWS }).rowIds!(),
        uses: [{ places: 1, width: DIM }],
      });
      const [sums, expected] = [distinct.sums(got.rowGrads), distinct.sums(want.rowGrads)];
      for (const [i, sum] of sums.entries()) expect(sum).toBeCloseTo(expected[i]!, 4);
      expect({ ...got, rowGrads: [] }).toEqual({ ...want, rowGrads: [] });
    }
    const rowsOfSquares = new Set(Array.from({ length: ROWS }, (_, b) => (b * b) % ROWS)).size;
    expect([...floats]).toEqual([rowsOfSquares * DIM]);
    expect(honest.accepted.length).toBeGreaterThan(3);
    expect(honest.refused).toEqual([]);
    expect(liar.ended).toEqual([{ code: "UPDATE_DIFFERS", reason: expect.any(String) as string, mayReturn: false }]);
    expect(liar.accepted).toEqual([]);
  });

  test("any delays, pauses, cuts, crashes and stops leave every sum as it is", async () => {
    const faults = fc.array(
      fc.record({
        at: fc.integer({ min: 0, max: 24 }),
        leaf: fc.integer({ min: 1, max: 3 }),
        kind: fc.constantFrom("hold", "cut", "crash", "pause", "stop", "rest", "again" as const),
        ms: fc.integer({ min: 1, max: 8_000 }),
      }),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), faults, async (seed, faults) => {
        const bench = new LeafBench({ seed });
        const leaves = new Map<number, Awaited<ReturnType<LeafBench["join"]>>>();
        for (const leaf of [1, 2, 3]) leaves.set(leaf, await bench.join(leaf, { msPerSample: 0.05 * leaf }));
        for (let i = 0; i < 25; i++) {
          for (const { kind, leaf, ms } of faults.filter(({ at }) => at === i)) {
            const { host, session } = leaves.get(leaf)!;
            const between = ["reducer", host.name] as const;
            if (kind === "hold") bench.network.hold({ between, forMs: ms });
            else if (kind === "cut") bench.network.cut({ between });
            else if (kind === "crash") host.crash();
            else if (kind === "pause") host.pause(ms);
            else if (kind === "stop") session.stop();
            else if (kind === "rest") session.pause("asked");
            else if (host.alive) leaves.set(leaf, await bench.join(leaf, { msPerSample: 0.1, host: `${host.name}'` }));
          }
          const { got, want, ms } = await bench.step();
          expect(got).toEqual(want);
          expect(ms).toBeLessThan(LIMITS.leafLongestMs + 2 * 1024 * 0.1 + 10);
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  test("an update that comes too late is refused, and its volunteer goes on", async () => {
    const bench = new LeafBench();
    const { host, accepted, refused } = await bench.join(1);
    for (let i = 0; i < 6; i++) await bench.step();
    host.pause(3_000);
    const { got, want, ms } = await bench.step();
    expect(got).toEqual(want);
    expect(ms).toBeLessThan(1_000);
    for (let i = 0; i < 40; i++) await bench.step();
    expect(refused).toEqual([
      { type: "leaf-refused", task: 9, code: "UPDATE_LATE", message: expect.any(String) as string },
    ]);
    expect(accepted.length).toBeGreaterThan(8);
  });

  const lies: [string, string, Tamper][] = [
    ["NaN", "UPDATE_NOT_FINITE", times(Number.NaN)],
    ["infinite values", "UPDATE_NOT_FINITE", times(Infinity)],
    ["1e30", "UPDATE_NORM", times(1e30)],
    ["a loss below 0", "UPDATE_NORM", saying((update) => ({ ...update, lossSum: -update.lossSum - 1 }))],
    [
      "ten times as many rows",
      "UPDATE_SHAPE",
      sending((f) => ({ ...f, values: new Float32Array(10 * f.values.length) })),
    ],
    ["too few", "UPDATE_SHAPE", sending((f) => ({ ...f, values: f.values.subarray(1) }))],
  ];
  test.each(lies)("who sends %s is refused, and expelled at the third time", async (_, code, tamper) => {
    const bench = new LeafBench({ combine: "centered-clip" });
    const [liar, honest] = [await bench.join(1, { tamper }), await bench.join(2)];
    for (let i = 0; i < 8; i++) {
      const { got, want } = await bench.step();
      expect(got).toEqual(want);
    }
    expect(liar.refused.map((refused) => refused.code)).toEqual([code, code, code]);
    expect(liar.ended).toEqual([{ code, reason: liar.refused[2]!.message, mayReturn: false }]);
    expect(liar.accepted).toEqual([]);
    expect(bench.told.filter(({ type }) => type === "expel")).toEqual([
      { type: "expel", job: 1, volunteer: 1, reason: liar.refused[2]!.message },
    ]);
    expect(honest.refused).toEqual([]);
    expect(honest.accepted.length).toBe(7);
  });

  test("who computes something else is found out by an audit, and what it sent counts nowhere", async () => {
    const bench = new LeafBench({ audit: 1 });
    const [liar, honest] = [await bench.join(1, { tamper: times(-1) }), await bench.join(2)];
    const { got, want } = await bench.step();
    expect(got).toEqual(want);
    await bench.step();
    expect(liar.ended).toEqual([{ code: "UPDATE_DIFFERS", reason: expect.any(String) as string, mayReturn: false }]);
    expect(honest.accepted).toHaveLength(1);
  });

  test("a step that is taken again counts once", async () => {
    const bench = new LeafBench();
    const { accepted } = await bench.join(1);
    await bench.step(1024, 1);
    await bench.step(1024, 1);
    await bench.step(1024, 2);
    await bench.clock.advance(10);
    expect(accepted.map(({ step, task }) => ({ step, task }))).toEqual([{ step: 1, task: 4 }]);
  });

  test("a volunteer rests as long as it wishes, and sends nothing once it has stopped", async () => {
    const bench = new LeafBench();
    let sent = 0;
    const counted = (link: Link): Link => sending((f) => (sent++, f))(link);
    const half = await bench.join(1, { share: () => 0.5, msPerSample: 1, tamper: counted });
    for (let i = 0; i < 20; i++) await bench.step();
    const busyMs = half.computed.reduce((sum, samples) => sum + samples * 1, 0);
    expect(busyMs).toBeLessThan(0.55 * bench.clock.now());
    half.session.pause("hidden");
    await bench.step();
    const before = half.computed.length;
    for (let i = 0; i < 3; i++) await bench.step();
    expect(half.computed.length).toBe(before);
    half.session.resume();
    for (let i = 0; i < 3; i++) await bench.step();
    expect(half.computed.length).toBeGreaterThan(before);
    const stepping = bench.step();
    half.session.stop();
    const atStop = sent;
    expect((await stepping).got).toEqual((await stepping).want);
    await bench.step();
    expect(sent).toBe(atStop);
    expect(half.ended).toEqual([{ code: "JOB_STOPPED", reason: "stopped here", mayReturn: true }]);
  });

  test("who comes again takes the place of its earlier link, and one too many is turned away", async () => {
    const bench = new LeafBench({ leavesMax: 1 });
    const first = await bench.join(1);
    const again = await bench.join(1, { host: "other" });
    const other = await bench.join(2);
    await bench.step();
    await bench.step();
    expect(first.ended).toMatchObject([{ code: "NAME_TAKEN", mayReturn: false }]);
    expect(other.ended).toMatchObject([{ code: "NO_REDUCER", mayReturn: true }]);
    expect(again.accepted).toHaveLength(1);
  });

  test("the coordinator hears of volunteers, and of no news nothing", async () => {
    const bench = new LeafBench();
    await bench.join(1);
    for (let i = 0; i < 30; i++) await bench.step();
    await bench.clock.advance(LIMITS.leavesEveryMs);
    expect(leavesTold(bench.told)).toMatchObject({
      job: 1,
      leaves: [{ volunteer: 1, name: "leaf-1", device: "toy", state: "ready", late: 0, refused: {}, accepted: 29 }],
    });
    const count = bench.told.length;
    await bench.clock.advance(5 * LIMITS.leavesEveryMs);
    expect(bench.told.length).toBe(count);
  });
});
