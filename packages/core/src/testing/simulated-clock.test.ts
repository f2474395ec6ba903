import { describe, expect, it } from "vitest";
import { seededRandom } from "./seeded-random.ts";
import { SimulatedClock } from "./simulated-clock.ts";

describe("SimulatedClock", () => {
  it("stands still until it is advanced", async () => {
    const clock = new SimulatedClock();
    let ran = 0;
    clock.after(5, () => ran++);
    expect([clock.now(), ran]).toEqual([0, 0]);
    await clock.advance(4.5);
    expect([clock.now(), ran]).toEqual([4.5, 0]);
    await clock.advance(1);
    expect([clock.now(), ran]).toEqual([5.5, 1]);
  });

  it("runs timers in order of time, then in the order they were set", async () => {
    const clock = new SimulatedClock();
    const random = seededRandom(7);
    const set = Array.from({ length: 1000 }, (_, i) => ({ i, at: random.below(50) }));
    const ran: { i: number; at: number }[] = [];
    for (const timer of set) clock.after(timer.at, () => ran.push(timer));
    await clock.advance(50);
    expect(ran).toEqual(set.toSorted((a, b) => a.at - b.at || a.i - b.i));
  });

  it("shows each timer its own time, and runs timers that timers set", async () => {
    const clock = new SimulatedClock();
    const times: number[] = [];
    clock.after(3, () => {
      times.push(clock.now());
      clock.after(2, () => times.push(clock.now()));
      clock.after(0, () => times.push(clock.now()));
    });
    await clock.advance(10);
    expect(times).toEqual([3, 3, 5]);
  });

  it("does not run what was cancelled", async () => {
    const clock = new SimulatedClock();
    let ran = false;
    const cancel = clock.after(1, () => (ran = true));
    cancel();
    await clock.advance(10);
    expect(ran).toBe(false);
  });

  it("gives everything that awaits its turn before the next timer", async () => {
    const clock = new SimulatedClock();
    const seen: string[] = [];
    clock.after(1, () => {
      void (async () => {
        for (let i = 0; i < 100; i++) await Promise.resolve();
        seen.push("awaited");
      })();
    });
    clock.after(1, () => seen.push("next timer"));
    await clock.advance(1);
    expect(seen).toEqual(["awaited", "next timer"]);
  });

  it("until() lets just the time pass that is needed", async () => {
    const clock = new SimulatedClock();
    const done = new Promise<string>((resolve) => clock.after(42, () => resolve("here")));
    clock.after(1000, () => {});
    expect(await clock.until(done)).toBe("here");
    expect(clock.now()).toBe(42);
  });

  it("until() passes a rejection on", async () => {
    const clock = new SimulatedClock();
    await expect(clock.until(Promise.reject(new RangeError("no")))).rejects.toThrow("no");
  });

  it("until() says when nothing is left to happen, or the time is up", async () => {
    const clock = new SimulatedClock();
    const never = new Promise<void>(() => {});
    await expect(clock.until(never)).rejects.toThrow("nothing is left to happen");
    clock.after(100, () => {});
    await expect(clock.until(never, { limitMs: 50 })).rejects.toThrow("not within 50 ms");
  });

  it("passes on what a timer throws", async () => {
    const clock = new SimulatedClock();
    clock.after(1, () => {
      throw new Error("a bug");
    });
    await expect(clock.advance(5)).rejects.toThrow("a bug");
    expect(clock.now()).toBe(1);
    await clock.advance(5);
    expect(clock.now()).toBe(6);
  });

  it("refuses to run twice at a time", async () => {
    const clock = new SimulatedClock();
    const first = clock.advance(1);
    await expect(clock.advance(1)).rejects.toThrow("await the call before");
    await first;
  });
});

describe("seededRandom()", () => {
  it("is the same for the same seed, and even enough", () => {
    const a = seededRandom(3);
    const b = seededRandom(3);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      const n = a.below(4);
      counts[n]!++;
      expect(n).toBe(b.below(4));
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120);
    expect(seededRandom(4).next()).not.toBe(seededRandom(3).next());
  });
});
