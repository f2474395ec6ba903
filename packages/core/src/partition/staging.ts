/**
 * What the slots of one step sent to one partition, and their sums once the step closes: of equal keys in slot order,
 * `((slot 0 + slot 1) + slot 2) …`, each sum rounded to float32. The order that slots arrived in cannot change a bit.
 * Where the step's leader closes it, the sums are of the slots it names, times a factor, rounded once more.
 *
 * A replica takes the sums of its head instead (`prepare`, `take`).
 *
 * Segments are copied to the arena, since frames are borrowed. The buffers are kept from step to step: there are
 * thousands of (partition, table) pairs in a step, and none allocates.
 */
import { assert } from "../errors.ts";
import type { Arena } from "../table/arena.ts";
import { checkRuns, copySegment, layOut, newRuns, segmentBytes, sizeOf } from "./segment.ts";
import type { KeyRuns, Segment, TableSet } from "./segment.ts";

/** Of the lanes that the merge takes: address of keys, address of values, how many keys. */
const LANE_BYTES = 12;

interface Slot {
  /** missing: not in · empty: has nothing for this partition · filled: its segment lies in `buffer`. */
  is: "missing" | "empty" | "filled";
  readonly runs: KeyRuns;
  readonly buffer: Buffer;
}

/** Memory that is kept; `bytes` 0 while there is none. */
interface Buffer {
  at: number;
  bytes: number;
}

export class Staging {
  /** Slots the step has. */
  slots = 0;
  /** Slots that are in. */
  slotsIn = 0;
  /** Are the sums those of a head, and the slots not here? */
  isTaken = false;
  /** Valid from {@link sum} or {@link take} until {@link open}. */
  sums: KeyRuns;
  /** What the next sums are prepared in while those before are valid. */
  #next: KeyRuns;
  readonly #tables: TableSet;
  readonly #arena: Arena;
  readonly #slots: Slot[] = [];
  #sumBuffer: Buffer = { at: 0, bytes: 0 };
  #nextBuffer: Buffer = { at: 0, bytes: 0 };

  constructor(tables: TableSet, arena: Arena) {
    this.#tables = tables;
    this.#arena = arena;
    this.sums = newRuns(tables);
    this.#next = newRuns(tables);
  }

  /** Forgets what is in and waits for `slots` slots. */
  open(slots: number): void {
    while (this.#slots.length > slots) this.#release(this.#slots.pop()!.buffer);
    while (this.#slots.length < slots) {
      this.#slots.push({ is: "missing", runs: newRuns(this.#tables), buffer: { at: 0, bytes: 0 } });
    }
    for (let slot = 0; slot < slots; slot++) this.#slots[slot]!.is = "missing";
    this.slots = slots;
    this.slotsIn = 0;
    this.isTaken = false;
  }

  has(slot: number): boolean {
    const there = this.#slots[slot];
    return there !== undefined && there.is !== "missing";
  }

  /**
   * Takes a copy of the segment of a slot that is not in, or null when the slot has nothing for this partition.
   *
   * @throws {RangeError} no such slot, or a bad segment; nothing has changed then
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the copy; nothing has changed then
   */
  add(number: number, segment: Segment | null): void {
    const slot = this.#slots[number];
    if (!slot) throw new RangeError(`slot ${number} of a step that has slots 0 to ${this.slots - 1}`);
    assert(slot.is === "missing", "a slot is added once");
    if (segment) {
      const size = sizeOf(this.#tables, segment);
      const at = this.#reserve(slot.buffer, segmentBytes(size));
      layOut(this.#tables, segment, copySegment(this.#arena, segment, size, at), slot.runs);
      checkRuns(this.#tables, slot.runs, this.#arena);
    }
    slot.is = segment ? "filled" : "empty";
    this.slotsIn += 1;
  }

  /** Forgets one slot that is in. */
  remove(number: number): void {
    this.#slots[number]!.is = "missing";
    this.slotsIn -= 1;
  }

  /** Forgets the slots that are in but not among these. */
  keepOnly(slots: ReadonlySet<number>): void {
    for (let s = 0; s < this.slots; s++) if (this.has(s) && !slots.has(s)) this.remove(s);
  }

  /**
   * Sums the slots that are in, times `scale`. A table that only one slot has is not copied where that is 1.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the sums
   */
  sum(scale = 1): void {
    const { kernels, words } = this.#arena;
    const { specs } = this.#tables;
    const { counts, keys, values } = this.sums;
    let filled = 0;
    let bytes = 0;
    for (let s = 0; s < this.slots; s++) {
      const { is, buffer } = this.#slots[s]!;
      if (is !== "filled") continue;
      filled += 1;
      bytes += buffer.bytes;
    }
    const isMade = filled > 1 || scale !== 1;
    // First the lanes, then keys and values of one table after the other, with room as if no two slots shared a key.
    const lanes = isMade ? this.#reserve(this.#sumBuffer, LANE_BYTES * filled + bytes) : 0;
    let out = lanes + LANE_BYTES * filled;
    for (let i = 0; i < specs.length; i++) {
      let laneCount = 0;
      let pairs = 0;
      let only = this.sums;
      for (let s = 0; s < this.slots; s++) {
        const { is, runs } = this.#slots[s]!;
        const n = runs.counts[i]!;
        if (is !== "filled" || n === 0) continue;
        only = runs;
        pairs += n;
        if (isMade) {
          const lane = (lanes + LANE_BYTES * laneCount) / 4;
          words[lane] = runs.keys[i]!;
          words[lane + 1] = runs.values[i]!;
          words[lane + 2] = n;
        }
        laneCount++;
      }
      if (laneCount === 0 || (laneCount === 1 && scale === 1)) {
        counts[i] = pairs;
        keys[i] = only.keys[i]!;
        values[i] = only.values[i]!;
      } else {
        const { dim } = specs[i]!;
        keys[i] = out;
        values[i] = out + 8 * pairs;
        counts[i] = kernels.mergeRuns(lanes, laneCount, dim, keys[i]!, values[i]!);
        if (scale !== 1) kernels.scaleFloats(values[i]!, counts[i]! * dim, scale);
        out = values[i]! + 4 * dim * counts[i]!;
      }
    }
  }

  /**
   * Takes a copy of the sums of a head, or null where it has none; those before stay valid until {@link take}.
   *
   * @throws {RangeError} a bad segment
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the copy
   */
  prepare(segment: Segment | null): KeyRuns {
    if (!segment) this.#next.counts.fill(0);
    else {
      const size = sizeOf(this.#tables, segment);
      const at = this.#reserve(this.#nextBuffer, segmentBytes(size));
      layOut(this.#tables, segment, copySegment(this.#arena, segment, size, at), this.#next);
      checkRuns(this.#tables, this.#next, this.#arena);
    }
    return this.#next;
  }

  /** What was prepared are the sums now, of `slots` slots that are all in. */
  take(slots: number): void {
    this.open(slots);
    for (const slot of this.#slots) slot.is = "empty";
    this.slotsIn = slots;
    this.isTaken = true;
    [this.sums, this.#next] = [this.#next, this.sums];
    [this.#sumBuffer, this.#nextBuffer] = [this.#nextBuffer, this.#sumBuffer];
  }

  /** Memory it holds. */
  bytes(): number {
    const sums = this.#sumBuffer.bytes + this.#nextBuffer.bytes;
    return this.#slots.reduce((sum, { buffer }) => sum + buffer.bytes, sums);
  }

  /** Gives all memory back. */
  dispose(): void {
    this.open(0);
    this.#release(this.#sumBuffer);
    this.#release(this.#nextBuffer);
  }

  /** Makes a buffer as long as `bytes`; what it held is lost. */
  #reserve(buffer: Buffer, bytes: number): number {
    if (bytes > buffer.bytes) {
      this.#release(buffer);
      const wanted = roomier(bytes);
      buffer.at = this.#arena.allocate(wanted);
      buffer.bytes = wanted;
    }
    return buffer.at;
  }

  #release(buffer: Buffer): void {
    if (buffer.bytes > 0) this.#arena.free(buffer.at, buffer.bytes);
    buffer.bytes = 0;
  }
}

/** A quarter more than asked for: steps differ a little in size. */
function roomier(bytes: number): number {
  return 8 * Math.ceil((1.25 * bytes) / 8);
}
