/**
 * A copy of a partition for a new replica, part by part, while the partition goes on changing. Parts and the records of
 * changes reach the new replica in one order, the one they were made in. The first part holds how far the partition is;
 * then come the rows, byte for byte, and last the counts of keys that have none. After the last part the new replica
 * does what any other one does, bit for bit.
 *
 * A record may be of a row that was not copied yet. What it makes there is wrong, and is overwritten when the row
 * comes; a row that is deleted in between is not listed any more (`rows-copy.ts`). While rows are missing, the new
 * replica does not know which keys have none, so it takes the counts when it has all rows.
 */
import { assert, ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { copyKeysOf, putRows, RowsCopy } from "../table/rows-copy.ts";
import { BLOCK_BYTES, CopyPartWriter, readCopyPart, type Block, type CopyPart } from "./copy-part.ts";
import type { PartitionParts } from "./partition-parts.ts";
import { newRuns, sizeOfRuns, writeRuns, type KeyRuns } from "./segment.ts";

/** Numbers of the state before those of the tables. */
const STATE_NUMBERS = 6;
/** Words before the counts of a part: those of parts before, and of all parts. */
const COUNTS_WORDS = 2;

export class PartitionCopy {
  readonly #of: PartitionParts;
  /** Parts that were made. */
  #parts = 0;
  #ended = false;
  /** The table whose rows come next, then, after all, the one whose counts do; how far they are. */
  #place = 0;
  #rows: RowsCopy | undefined;
  #isAtCounts = false;
  #counts: { readonly words: Uint32Array; at: number } | undefined;

  constructor(of: PartitionParts) {
    this.#of = of;
  }

  /**
   * Makes the next part, from what the partition is now. Not after the last.
   *
   * @param bytesMax about as long: a part holds a row at least, and the first one the state as a whole
   * @throws {ClusterError} PARTITION_UNAVAILABLE: rows of it cannot be read from disk; the copy has ended then
   */
  next(bytesMax: number): CopyPart {
    assert(!this.#ended, "a copy has no part after its last");
    const part = new CopyPartWriter({ partition: this.#of.partition, number: this.#parts });
    if (this.#parts++ === 0) this.#writeState(part);
    try {
      let more = true;
      while (more && (part.empty || part.bytes + BLOCK_BYTES + this.#leastBytes() <= bytesMax)) {
        const room = Math.max(0, bytesMax - part.bytes - BLOCK_BYTES);
        more = this.#isAtCounts ? this.#writeCounts(part, room) : this.#writeRows(part, room);
      }
      if (!more) this.stop();
      return part.finish({ last: !more });
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Ends it early, or again: rows that move are noted until then. */
  stop(): void {
    this.#ended = true;
    this.#rows?.stop();
    this.#rows = undefined;
    this.#counts = undefined;
  }

  /** Of what comes next. */
  #leastBytes(): number {
    return this.#isAtCounts ? 4 * COUNTS_WORDS : (this.#of.rows[this.#place]?.source.table.layout.stride ?? 0);
  }

  #writeState(part: CopyPartWriter): void {
    const { tables, arena, rows, vocabulary, identities, staging, state } = this.#of;
    const { promised, committed, attempt, staged } = state;
    const ofTables = tables.specs.flatMap(({ id }, place) => [id, rows[place]!.source.table.layout.stride]);
    const numbers = [promised, committed.step, committed.attempt, attempt === undefined ? 0 : 1, attempt ?? 0];
    numbers.push(staging.slots, ...ofTables);
    part.add("state", 0, numbers.length).set(numbers);
    if (staged) {
      const T = tables.specs.length;
      const { pairs, floats } = sizeOfRuns(tables, staging.sums);
      const words = part.add("sums", 0, T + 2 * pairs + floats);
      const values = new Float32Array(words.buffer, words.byteOffset, words.length);
      const keys = words.subarray(T);
      writeRuns(tables, staging.sums, arena, {
        counts: words,
        countsAt: 0,
        keys,
        keysAt: 0,
        values,
        valuesAt: T + 2 * pairs,
      });
    }
    const pushes = identities.snapshot();
    const words = part.add("pushes", 0, 2 * pushes.length);
    for (const [i, number] of pushes.entries()) words.set([number >>> 0, Math.floor(number / 2 ** 32)], 2 * i);
    const tombstones = vocabulary.tombstones.snapshot();
    part.add("tombstones", 0, tombstones.length).set(tombstones);
  }

  /** Writes rows of one table; is there more to write, of whatever? */
  #writeRows(part: CopyPartWriter, bytesMax: number): boolean {
    const rows = this.#of.rows[this.#place];
    if (!rows) {
      this.#isAtCounts = true;
      this.#place = 0;
      return true;
    }
    const { source } = rows;
    const { stride } = source.table.layout;
    const copy = (this.#rows ??= new RowsCopy(source));
    const rowsMax = Math.max(1, Math.min(rows.count, Math.floor(bytesMax / stride)));
    const words = part.add("rows", this.#place, (rowsMax * stride) / 4);
    const n = copy.next(new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
    part.shorten((n * stride) / 4);
    if (copy.done) {
      this.#rows = undefined;
      this.#place += 1;
    }
    return true;
  }

  /** Writes counts of one table: how many words of how many were before, then as many as there is room for. */
  #writeCounts(part: CopyPartWriter, bytesMax: number): boolean {
    const { cares } = this.#of.vocabulary;
    while (this.#place < cares.length && !cares[this.#place]!.admission) this.#place += 1;
    const admission = cares[this.#place]?.admission;
    if (!admission) return false;
    const counts = (this.#counts ??= { words: admission.snapshot(), at: 0 });
    const length = Math.min(counts.words.length - counts.at, Math.max(1, Math.floor(bytesMax / 4) - COUNTS_WORDS));
    const words = part.add("counts", this.#place, COUNTS_WORDS + length);
    words.set([counts.at, counts.words.length]);
    words.set(counts.words.subarray(counts.at, counts.at + length), COUNTS_WORDS);
    counts.at += length;
    if (counts.at === counts.words.length) {
      this.#counts = undefined;
      this.#place += 1;
    }
    return true;
  }
}

/** Takes the parts of a copy into a partition that is new. */
export class PartitionCopyTarget {
  readonly #of: PartitionParts;
  readonly #runs: KeyRuns;
  #parts = 0;
  #ended = false;

  constructor(of: PartitionParts) {
    this.#of = of;
    this.#runs = newRuns(of.tables);
    assert(of.state.committed.step === 0 && of.rows.every(({ count }) => count === 0), "a new replica takes a copy");
  }

  /**
   * Takes the next part.
   *
   * @returns was it the last?
   * @throws {ProtocolError} not the next part of a copy of this partition
   * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the rows
   */
  take(bytes: Uint8Array): boolean {
    const { partition, room, state, staging } = this.#of;
    if (this.#ended) throw new ProtocolError(`partition ${partition} was copied; no part follows the last`);
    const { blocks, last } = readCopyPart(bytes, { partition, number: this.#parts });
    if (this.#parts === 0 && blocks[0]?.kind !== "state")
      throw new ProtocolError(`a copy of partition ${partition} begins with ${blocks[0]?.kind ?? "nothing"}`);
    room.release(); // so that rows of the staged step may go to disk, and have their room when they come
    for (const block of blocks) this.#takeBlock(block);
    if (state.staged) room.pledge(staging.sums);
    this.#parts += 1;
    this.#ended = last;
    return last;
  }

  #takeBlock(block: Block): void {
    const { identities, vocabulary } = this.#of;
    switch (block.kind) {
      case "state":
        return this.#takeState(block.words);
      case "sums":
        return this.#takeSums(block.words);
      case "pushes": {
        const { words } = block;
        return identities.restore(Array.from({ length: words.length >>> 1 }, (_, i) => numberAt(words, 2 * i)));
      }
      case "tombstones":
        return vocabulary.tombstones.restore(block.words);
      case "rows":
        return this.#takeRows(block);
      case "counts":
        return this.#takeCounts(block);
      default:
        return block.kind satisfies never;
    }
  }

  #takeState(words: Uint32Array): void {
    const { partition, tables, rows, vocabulary, staging, state } = this.#of;
    const here = tables.specs.flatMap(({ id }, place) => [id, rows[place]!.source.table.layout.stride]);
    const there = [...words.subarray(STATE_NUMBERS)];
    if (words.length !== STATE_NUMBERS + here.length || here.some((number, i) => number !== there[i])) {
      throw new ProtocolError(
        `a copy of partition ${partition} with tables (id, bytes of a row) ${there.join(", ")} came for one with ${here.join(", ")}`,
      );
    }
    const [promised = 0, step = 0, committedAttempt = 0, isOpen = 0, attempt = 0, slots = 0] = words;
    if (slots > LIMITS.workersPerJobMax) throw new ProtocolError(`a copy has a step of ${slots} slots`);
    state.promised = promised;
    state.committed = { step, attempt: committedAttempt };
    state.attempt = isOpen === 1 ? attempt : undefined;
    staging.open(slots);
    for (const { admission } of vocabulary.cares) admission?.awaitCounts();
  }

  #takeSums(words: Uint32Array): void {
    const { tables, staging, state } = this.#of;
    const T = tables.specs.length;
    const pairs = words.subarray(0, T).reduce((sum, count) => sum + count, 0);
    staging.prepare({
      tables: Uint32Array.from(tables.specs, ({ id }) => id),
      counts: words,
      countsAt: 0,
      keys: words.subarray(T),
      keysAt: 0,
      values: new Float32Array(words.buffer, words.byteOffset, words.length),
      valuesAt: T + 2 * pairs,
    });
    staging.take(staging.slots);
    state.staged = true;
  }

  #takeRows({ place, words }: Block): void {
    const { arena, rows, room } = this.#of;
    const table = rows[place]?.source.table;
    const strideWords = (table?.layout.stride ?? 0) / 4;
    if (!table || words.length % strideWords !== 0)
      throw new ProtocolError(`${words.length} words of rows of table ${place}, whose rows have ${strideWords}`);
    const n = words.length / strideWords;
    const keys = arena.scratch(8 * n);
    copyKeysOf(words, table, keys);
    this.#runs.counts.fill(0);
    this.#runs.counts[place] = n;
    this.#runs.keys[place] = keys;
    room.check(this.#runs); // brings those that are on disk back
    putRows(words, table, keys);
  }

  #takeCounts({ place, words }: Block): void {
    const admission = this.#of.vocabulary.cares[place]?.admission;
    const [at, of] = words;
    if (!admission || at === undefined || of === undefined)
      throw new ProtocolError(`${words.length} words of counts for table ${place}`);
    admission.takeCounts(words.subarray(COUNTS_WORDS), { at, of });
  }
}

function numberAt(words: Uint32Array, at: number): number {
  return words[at + 1]! * 2 ** 32 + words[at]!;
}
