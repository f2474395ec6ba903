import { describe, expect, test } from "vitest";
import { realClockOn } from "./clock.ts";

/** A process whose timers, and what is to run once it has read, are run by hand. */
function busyProcess() {
  const process = { nowMs: 0, due: [] as (() => void)[], read: [] as (() => void)[] };
  const clock = realClockOn({
    now: () => process.nowMs,
    after: (_, run) => {
      process.due.push(run);
      return () => void process.due.splice(process.due.indexOf(run), 1);
    },
    afterReading: (run) => void process.read.push(run),
  });
  return { process, clock };
}

describe("a timer of the real clock", () => {
  test("runs at once where it is in time", () => {
    const { process, clock } = busyProcess();
    const ran: string[] = [];
    clock.after(1000, () => ran.push("timer"));
    process.nowMs = 1010;
    process.due[0]!();
    expect(ran).toEqual(["timer"]);
  });

  test("lets what has arrived be read first where it is late, and may be cancelled by it", () => {
    const { process, clock } = busyProcess();
    const ran: string[] = [];
    clock.after(1000, () => ran.push("timer"));
    const cancel = clock.after(1000, () => ran.push("cancelled"));
    process.nowMs = 6000;
    for (const run of process.due) run();
    expect(ran).toEqual([]);
    ran.push("read");
    cancel();
    for (const run of process.read) run();
    expect(ran).toEqual(["read", "timer"]);
  });
});
