/**
 * What the slots of one step sent to one partition, and their sums once the step closes.
 *
 * Segments stay views of their frames until they are summed; then the frames are let go. The sums' buffers are
 * kept from step to step: there are thousands of (partition, table) pairs in a step, and none allocates.
 */
import { assert } from "../errors.ts";
import { checkContents, layOut, type Segment, type SegmentLayout, type TableSet } from "./segment.ts";
import { SlotMerge } from "./slot-merge.ts";

/** The scratch of a merge is shared: it holds nothing between two calls of `sum`. */
const MERGE = new SlotMerge();

export class Staging {
  /** Slots the step has. */
  slots = 0;
  /** Slots that are in. */
  slotsIn = 0;
  /** Of the sums: keys per table, in the order of the tables; then pairs and floats one after another. */
  readonly counts: Uint32Array;
  keys = new Uint32Array(0);
  values = new Float32Array(0);
  readonly #tables: TableSet;
  /** Per slot: its segment, null when it sent nothing, undefined when it is not in. */
  #segments: (Segment | null | undefined)[] = [];
  #layout: SegmentLayout = layoutOf(0);

  constructor(tables: TableSet) {
    this.#tables = tables;
    this.counts = new Uint32Array(tables.specs.length);
  }

  /** Forgets what is in and waits for `slots` slots. */
  open(slots: number): void {
    const T = this.#tables.specs.length;
    if (this.#layout.counts.length < slots * T) this.#layout = layoutOf(slots * T);
    if (this.#segments.length === slots) this.#segments.fill(undefined);
    else this.#segments = Array.from({ length: slots }, () => undefined);
    this.slots = slots;
    this.slotsIn = 0;
  }

  has(slot: number): boolean {
    return this.#segments[slot] !== undefined;
  }

  /**
   * Takes the segment of a slot that is not in, or null when the slot has nothing for this partition. The frame
   * the segment views must not change until the step is summed.
   *
   * @throws {RangeError} no such slot, or a bad segment; nothing has changed then
   */
  add(slot: number, segment: Segment | null): void {
    if (!(slot >= 0 && slot < this.slots)) {
      throw new RangeError(`slot ${slot} of a step that has slots 0 to ${this.slots - 1}`);
    }
    assert(!this.has(slot), "a slot is added once");
    if (segment) {
      const base = slot * this.#tables.specs.length;
      layOut(this.#tables, segment, this.#layout, base);
      checkContents(this.#tables, segment, this.#layout, base);
    }
    this.#segments[slot] = segment;
    this.slotsIn += 1;
  }

  /** Sums the slots that are in, in slot order, and lets their frames go. */
  sum(): void {
    this.#reserve();
    const { specs } = this.#tables;
    const T = specs.length;
    const { counts, keysAt, valuesAt } = this.#layout;
    let pair = 0;
    let at = 0;
    for (let i = 0; i < T; i++) {
      const { dim } = specs[i]!;
      for (let slot = 0; slot < this.slots; slot++) {
        const segment = this.#segments[slot];
        if (!segment) continue;
        const place = slot * T + i;
        if (counts[place]! > 0) MERGE.add(segment, keysAt[place]!, valuesAt[place]!, counts[place]!);
      }
      const unique = MERGE.run(dim, this.keys, pair, this.values, at);
      this.counts[i] = unique;
      pair += unique;
      at += unique * dim;
    }
    for (let slot = 0; slot < this.slots; slot++) if (this.#segments[slot]) this.#segments[slot] = null;
  }

  bytes(): number {
    return this.keys.byteLength + this.values.byteLength;
  }

  /** Makes room for all keys that are in, as if no two slots shared one. */
  #reserve(): void {
    const { specs } = this.#tables;
    let pairs = 0;
    let floats = 0;
    for (let slot = 0; slot < this.slots; slot++) {
      if (!this.#segments[slot]) continue;
      for (let i = 0; i < specs.length; i++) {
        const n = this.#layout.counts[slot * specs.length + i]!;
        pairs += n;
        floats += n * specs[i]!.dim;
      }
    }
    if (this.keys.length < 2 * pairs) this.keys = new Uint32Array(roomier(2 * pairs));
    if (this.values.length < floats) this.values = new Float32Array(roomier(floats));
  }
}

function layoutOf(places: number): SegmentLayout {
  return {
    counts: new Uint32Array(places),
    keysAt: new Uint32Array(places),
    valuesAt: new Uint32Array(places),
  };
}

/** A quarter more than asked for: steps differ a little in size. */
function roomier(length: number): number {
  return Math.ceil(1.25 * length);
}
