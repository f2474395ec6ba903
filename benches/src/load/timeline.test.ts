import { describe, expect, test } from "vitest";
import { latenciesMs, longestGapMs, type Timeline } from "./timeline.ts";

/** Requests every 10 ms about groups 0 and 1 in turn, each answered after 1 ms. */
function steady(requests: number): Timeline {
  const due = Array.from({ length: requests }, (_, i) => 10 * i);
  return { due, answered: due.map((at) => at + 1), group: due.map((_, i) => i % 2) };
}

describe("longestGapMs()", () => {
  test("is the time between requests about a group where all are answered", () => {
    expect(longestGapMs(steady(100), { from: 100, to: 500 })).toBe(20);
  });

  test("finds the pause of one group, though the other goes on", () => {
    const timeline = steady(100);
    for (const i of [31, 33, 35]) timeline.answered[i] = 400;
    expect(longestGapMs(timeline, { from: 300, to: 600 })).toBe(371 - 291);
  });

  test("counts a pause that began before the span, and none that had ended before it", () => {
    const timeline = steady(100);
    for (const i of [10, 12, 14]) timeline.answered[i] = 161;
    expect(longestGapMs(timeline, { from: 120, to: 600 })).toBe(161 - 81);
    expect(longestGapMs(timeline, { from: 200, to: 600 })).toBe(20);
  });

  test("lasts to the end of the span where nothing was answered any more", () => {
    const timeline = steady(100);
    timeline.answered.fill(null, 50);
    expect(longestGapMs(timeline, { from: 400, to: 2000 })).toBe(2000 - 481);
  });
});

test("latenciesMs() are of requests that were due in the spans, and of failed ones without end", () => {
  const timeline = steady(100);
  timeline.answered[21] = 250;
  timeline.answered[22] = null;
  const spans = [
    { from: 200, to: 220 },
    { from: 220, to: 240 },
  ];
  expect(latenciesMs(timeline, spans)).toEqual([1, 40, Infinity, 1]);
});
