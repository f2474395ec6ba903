/** The copy of one replica that is being sent to the node behind it: a part at a time, a few under way. */
import type { PartitionCopy } from "@volary/core/partition";
import { frame, type Frame } from "@volary/core/wire";
import type { Replica } from "./replica.ts";

/** Parts that are sent and not yet taken. */
const PARTS_MAX = 2;
/** A copy is begun anew when it was found idle so often: at its start it may have come before its map. */
const IDLE_BEFORE_FIRST = 5;
const IDLE_MAX = 50;
/** Cursor of what tells a node, after its last part, that nothing is acknowledged without it from now on. */
export const RELIED_ON = 0xffff_ffff;

export class CopyOut {
  readonly node: number;
  readonly #replica: Replica;
  readonly #copy: PartitionCopy;
  #sent = 0;
  #taken = 0;
  #isSent = false;
  /** Parts that were taken when it was asked last whether it is stalled, and how often it was since. */
  #seen = -1;
  #idle = 0;

  readonly #id: number;

  /** @param o.id tells this copy from others of the same partition */
  constructor(replica: Replica, { node, id }: { node: number; id: number }) {
    this.node = node;
    this.#id = id;
    this.#replica = replica;
    this.#copy = replica.partition.copyOut();
  }

  /** May another part be sent now? */
  get mayGoOn(): boolean {
    return !this.#isSent && this.#sent - this.#taken < PARTS_MAX;
  }

  /** The next part. Records that were made before it must have been sent before. */
  next(job: number, bytesMax: number): Frame {
    const { number, generation, sequence } = this.#replica;
    const { bytes, last } = this.#copy.next(bytesMax);
    this.#isSent = last;
    return frame({
      opcode: "copyPart",
      job,
      attempt: this.#id,
      cursor: this.#sent++,
      partial: !last,
      partitions: Uint32Array.of(number),
      generations: Uint32Array.of(generation),
      sequences: Uint32Array.of(sequence),
      dtype: "int8",
      coded: bytes,
      counts: new Uint32Array(0),
    });
  }

  /** A part was taken; true when that was the last. Late words of another copy count for nothing. */
  onTaken({ attempt, cursor }: Pick<Frame, "attempt" | "cursor">): boolean {
    if (attempt !== this.#id || cursor !== this.#taken) return false;
    this.#taken++;
    return this.#isSent && this.#taken === this.#sent;
  }

  /** Was nothing taken for long? Then it is begun anew: parts were refused. A large part may take a while. */
  isStalled(): boolean {
    this.#idle = this.#taken === this.#seen ? this.#idle + 1 : 0;
    this.#seen = this.#taken;
    return this.#idle >= (this.#taken === 0 ? IDLE_BEFORE_FIRST : IDLE_MAX);
  }

  stop(): void {
    this.#copy.stop();
  }
}
