/** When the requests of an open load were due and answered: what gaps and latencies are read from. */
import { quantile } from "../report/statistics.ts";

/** Times are milliseconds since the epoch, one for each request, in the order in which they were due. */
export interface Timeline {
  due: number[];
  /** Null where a request failed. */
  answered: (number | null)[];
  /** Which of the groups of keys a request was about: it answers for all partitions of its group. */
  group: number[];
}

/** A span of time in milliseconds since the epoch. */
export interface Span {
  from: number;
  to: number;
}

/**
 * The longest time within a span in which no request about some group was answered, in milliseconds. An interval
 * counts whole if any of it lies in the span.
 */
export function longestGapMs({ answered, group }: Timeline, { from, to }: Span): number {
  let longest = 0;
  for (const each of new Set(group)) {
    const times = answered
      .filter((time, i): time is number => time !== null && group[i] === each)
      .sort((a, b) => a - b);
    const before = times.findLastIndex((time) => time <= from);
    for (let i = Math.max(0, before); i < times.length - 1 && times[i]! < to; i++) {
      longest = Math.max(longest, times[i + 1]! - times[i]!);
    }
    // Nothing was answered from then on.
    if ((times.at(-1) ?? from) < to) longest = Math.max(longest, to - Math.max(from, times.at(-1) ?? from));
  }
  return longest;
}

/** Latencies of the requests that were due in one of the spans; one that failed took forever. */
export function latenciesMs({ due, answered }: Timeline, spans: readonly Span[]): number[] {
  return due.flatMap((at, i) => {
    if (!spans.some(({ from, to }) => from <= at && at < to)) return [];
    const time = answered[i]!;
    return [time === null ? Infinity : time - at];
  });
}

export const p99Ms = (timeline: Timeline, spans: readonly Span[]): number =>
  quantile(latenciesMs(timeline, spans), 0.99);
