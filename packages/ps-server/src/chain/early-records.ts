/**
 * Records and parts of copies that were made by a newer partition map than this node has, until it has it. They are in
 * the order they came in. Those that there is no room for are dropped: whoever sent them sends them again.
 */
import { LIMITS } from "@volary/core/limits";
import { bytesOfFrame, copyOfFrame, type Frame } from "@volary/core/wire";

export interface EarlyRecord {
  readonly link: number;
  readonly frame: Frame;
}

export class EarlyRecords {
  #frames: EarlyRecord[] = [];
  #bytes = 0;

  /** Keeps a copy. @returns was there room for it? */
  keep({ link, frame }: EarlyRecord): boolean {
    const bytes = this.#bytes + bytesOfFrame(frame);
    if (this.#frames.length >= LIMITS.earlyFramesMax || bytes > LIMITS.earlyRecordBytesMax) return false;
    this.#bytes = bytes;
    this.#frames.push({ link, frame: copyOfFrame(frame) });
    return true;
  }

  takeAll(): EarlyRecord[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    return frames;
  }
}
