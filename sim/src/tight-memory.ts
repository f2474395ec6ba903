/** Memory for rows that is too small for most steps, so that rows go to disk and come back. */
import { MemoryColdStore, TableMemory, type MemoryShare } from "@volary/core/table";

/** What the dense weights of the toy job take: one row, larger than all others together. */
export const DENSE_BYTES = 2 ** 17;

export interface TightMemoryOptions {
  /** Each partition's rows may take so much, beside the dense weights. */
  roomBytes: number;
  /** Where the dense weights are. */
  densePartition: number;
}

export class TightMemory extends TableMemory {
  readonly #shares = new Map<number, MemoryShare>();
  #o: TightMemoryOptions | undefined;

  constructor() {
    super({ openCold: (recordBytes) => new MemoryColdStore(recordBytes) });
  }

  /** The bounds of its next user; none where it may take what it likes. */
  setRoom(o: TightMemoryOptions | undefined): void {
    this.#o = o;
    this.#shares.clear();
  }

  /** Its user may take what it likes from now on. */
  relax(): void {
    this.#o = undefined;
    super.divide(1);
  }

  override shareOf(partition: number, of: { partitions: number; places: number }): MemoryShare {
    const share = super.shareOf(partition, of);
    this.#shares.set(partition, share);
    this.#bound();
    return share;
  }

  override divide(places: number): void {
    super.divide(places);
    this.#bound();
  }

  #bound(): void {
    if (!this.#o) return;
    const { roomBytes, densePartition } = this.#o;
    for (const [partition, share] of this.#shares)
      share.bytesMax = roomBytes + (partition === densePartition ? DENSE_BYTES : 0);
  }
}
