/**
 * Links on which every message takes a random time, in each direction in order: what an uneven network does to
 * processes that are otherwise real. Results that must not depend on timing are measured over it.
 */
import { decodeFrame, encodeFrame, type Clock, type Link } from "../wire/index.ts";
import type { SeededRandom } from "./seeded-random.ts";

export interface Delays {
  clock: Clock;
  random: SeededRandom;
  /** A message takes from 0 to this long, and longer where it waits for the one before it. */
  delayMaxMs: number;
}

/** `link` with delays. What a listener throws is not caught: it ends the process, or the test. */
export function delayedLink(link: Link, delays: Delays): Link {
  const outgoing = delayedQueue(delays);
  const incoming = delayedQueue(delays);
  let isClosed = false;
  const hear = (run: () => void) => incoming(() => isClosed || run());
  return {
    get name() {
      return link.name;
    },
    sendControl: (control) => outgoing(() => link.sendControl(control)),
    sendFrame: (frame, onSent) => {
      const copy = decodeFrame(encodeFrame(frame).slice()); // the sender may change its arrays meanwhile
      onSent?.();
      outgoing(() => link.sendFrame(copy));
    },
    close: (reason) => {
      isClosed = true;
      outgoing(() => link.close(reason));
    },
    listen: (events) =>
      link.listen({
        onControl: (control) => hear(() => events.onControl(control)),
        onFrame: (frame) => {
          const copy = decodeFrame(encodeFrame(frame).slice()); // and its bytes may be used again
          hear(() => events.onFrame(copy));
        },
        onClose: (reason) => incoming(() => events.onClose(reason)),
      }),
  };
}

/** Runs what it is given after a random time, first in, first out. */
function delayedQueue({ clock, random, delayMaxMs }: Delays): (run: () => void) => void {
  const waiting: (() => void)[] = [];
  let lastMs = 0;
  return (run) => {
    const nowMs = clock.now();
    lastMs = Math.max(lastMs, nowMs + random.between({ min: 0, max: delayMaxMs }));
    waiting.push(run);
    clock.after(lastMs - nowMs, () => waiting.shift()!());
  };
}
