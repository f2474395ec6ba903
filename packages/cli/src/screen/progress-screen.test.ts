import type { Clock, JobStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import { progressScreen } from "./progress-screen.ts";
import { jobStatus } from "../testing/job-status.ts";

const training = (step: number): JobStatus =>
  jobStatus(step, { name: "j", workers: 1, testRows: 0, trainSeconds: step });

/** A clock that the test moves. */
class TestClock implements Clock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return () => (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  advance(ms: number): void {
    for (const end = this.#now + ms; this.#now < end; this.#now++) {
      const due = this.#timers.filter(({ at }) => at <= this.#now);
      this.#timers = this.#timers.filter(({ at }) => at > this.#now);
      for (const { run } of due) run();
    }
  }

  get waiting(): number {
    return this.#timers.length;
  }
}

function screenOn({ isTTY, colour = false }: { isTTY: boolean; colour?: boolean }) {
  const clock = new TestClock();
  const writes: string[] = [];
  const stream = {
    isTTY,
    columns: 80,
    hasColors: () => colour,
    write: (text: string) => writes.push(text) > 0,
  };
  return { clock, writes, screen: progressScreen({ stream, clock }) };
}

test("a terminal is redrawn in place, at most ten times a second, whatever comes in", () => {
  const { clock, writes, screen } = screenOn({ isTTY: true });
  for (let step = 1; step <= 100; step++) {
    screen.onStatus(training(step));
    clock.advance(10);
  }
  expect(writes.length).toBeLessThanOrEqual(11);
  expect(writes[0]).not.toContain("\u001b");
  for (const write of writes.slice(1)) expect(write.startsWith("\u001b[2A\u001b[J")).toBe(true);
});

test("a log gets a line every five seconds and for each new phase", () => {
  const { clock, writes, screen } = screenOn({ isTTY: false });
  for (let step = 1; step <= 60; step++) {
    screen.onStatus(training(step));
    clock.advance(200);
  }
  expect(writes).toHaveLength(3);
  screen.onStatus({ ...training(100), phase: "evaluating" });
  expect(writes).toHaveLength(4);
  expect(writes.join("")).not.toContain("\u001b");
});

test("colour is used only where the terminal has it", () => {
  for (const colour of [true, false]) {
    const { writes, screen } = screenOn({ isTTY: true, colour });
    screen.onStatus(training(1));
    expect(writes.join("").includes("\u001b[1m")).toBe(colour);
  }
});

test("a note is written above the progress, which is drawn again", () => {
  const { writes, screen } = screenOn({ isTTY: true });
  screen.onStatus(training(1));
  writes.length = 0;
  screen.note("worker-2 ended");
  expect(writes.join("")).toMatch(/^\u001b\[2A\u001b\[Jworker-2 ended\nj /); // oxlint-disable-line no-control-regex
});

test("end() takes the progress away, leaves the result and stops the clock", () => {
  const { clock, writes, screen } = screenOn({ isTTY: true });
  screen.onStatus(training(1));
  writes.length = 0;
  screen.end({ ...training(100), phase: "done", metrics: { auc: 0.75 }, testRows: 10 });
  expect(writes.join("")).toContain("auc 0.7500");
  expect(clock.waiting).toBe(0);
});
