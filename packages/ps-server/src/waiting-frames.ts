/**
 * Frames that came before their time and wait for it: pulls of a step that is not there yet, pushes of an attempt
 * that has not started. A repeat takes the place of the one before it. Frames arrive in memory that is used again, so
 * those that wait are copies. Bounded in number and in bytes.
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { copyOfFrame, type Frame } from "@volary/core/wire";

export interface WaitingFrame {
  readonly link: number;
  readonly frame: Frame;
}

export class WaitingFrames {
  readonly #what: string;
  readonly #framesMax: number;
  #frames = new Map<string, WaitingFrame>();
  #bytes = 0;

  /** @param what for messages: "pulls" */
  constructor({ what, framesMax }: { what: string; framesMax: number }) {
    this.#what = what;
    this.#framesMax = framesMax;
  }

  get size(): number {
    return this.#frames.size;
  }

  /** Keeps a copy. @throws {ClusterError} LIMIT_EXCEEDED */
  keep(waiting: WaitingFrame): void {
    const { link, frame } = waiting;
    const id = `${link}/${frame.requestId}/${frame.step}/${frame.attempt}/${frame.slot}`;
    const before = this.#frames.get(id);
    const bytes = this.#bytes + bytesOf(frame) - (before ? bytesOf(before.frame) : 0);
    if ((!before && this.#frames.size >= this.#framesMax) || bytes > LIMITS.waitingBytesMax) {
      const limit = `${this.#framesMax} ${this.#what} or ${LIMITS.waitingBytesMax} bytes of them`;
      throw new ClusterError(
        "LIMIT_EXCEEDED",
        `job ${frame.job} has more than ${limit} waiting for step ${frame.step}`,
      );
    }
    // Its keys have their sections by now, and need no name.
    this.#frames.set(id, { link, frame: { ...copyOfFrame(frame), keyList: new Uint8Array(0) } });
    this.#bytes = bytes;
  }

  takeAll(): WaitingFrame[] {
    const all = [...this.#frames.values()];
    this.#frames.clear();
    this.#bytes = 0;
    return all;
  }

  /** @returns how many were dropped */
  drop(unwanted: (waiting: WaitingFrame) => boolean): number {
    const before = this.#frames.size;
    for (const [id, waiting] of this.#frames) {
      if (!unwanted(waiting)) continue;
      this.#frames.delete(id);
      this.#bytes -= bytesOf(waiting.frame);
    }
    return before - this.#frames.size;
  }
}

/** What a frame holds, in bytes. */
export function bytesOf({ counts, keys, values, coded }: Frame): number {
  return counts.byteLength + keys.byteLength + values.byteLength + coded.byteLength;
}
