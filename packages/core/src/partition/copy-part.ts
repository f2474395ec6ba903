/**
 * One part of a copy of a partition, as bytes: little-endian words, which PS nodes pass on and look into no further.
 *
 *     header   magic, number of the part from 0, partition, 1 in the last part, else 0
 *     blocks   kind, place of the table in the job, words that follow, and these
 */
import { ProtocolError } from "../errors.ts";

const MAGIC = 0x59504356; // "VCPY"
const HEADER_WORDS = 4;
const BLOCK_WORDS = 3;

/** Written numbers, never reused. */
const BLOCKS = { state: 1, sums: 2, pushes: 3, tombstones: 4, rows: 5, counts: 6 } as const;
export type BlockKind = keyof typeof BLOCKS;

const KINDS = new Map<number, BlockKind>(Object.entries(BLOCKS).map(([kind, id]) => [id, kind as BlockKind]));

/** A part of a copy, on its way to a new replica. */
export interface CopyPart {
  /** The caller's own. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Is it the last? */
  readonly last: boolean;
}

export interface Block {
  readonly kind: BlockKind;
  /** Place of the table in the job, where it is of one. */
  readonly place: number;
  readonly words: Uint32Array;
}

export class CopyPartWriter {
  #words = new Uint32Array(256);
  #length = HEADER_WORDS;
  /** Where the newest block begins. */
  #block = 0;

  constructor({ partition, number }: { partition: number; number: number }) {
    this.#words.set([MAGIC, number, partition, 0]);
  }

  get bytes(): number {
    return 4 * this.#length;
  }

  /** Is there no block yet? */
  get empty(): boolean {
    return this.#length === HEADER_WORDS;
  }

  /** Adds a block; its words, zeros, are to be written before the next one. */
  add(kind: BlockKind, place: number, words: number): Uint32Array<ArrayBuffer> {
    this.#block = this.#length;
    const from = this.#length + BLOCK_WORDS;
    this.#reserve(from + words);
    this.#words.set([BLOCKS[kind], place, words], this.#block);
    this.#length = from + words;
    return this.#words.subarray(from, from + words);
  }

  /** Shortens the newest block, or takes it away where no word of it is left. */
  shorten(words: number): void {
    this.#words[this.#block + 2] = words;
    const end = words === 0 ? this.#block : this.#block + BLOCK_WORDS + words;
    this.#words.fill(0, end, this.#length);
    this.#length = end;
  }

  finish({ last }: { last: boolean }): CopyPart {
    this.#words[3] = last ? 1 : 0;
    return { bytes: new Uint8Array(this.#words.buffer, 0, this.bytes), last };
  }

  #reserve(words: number): void {
    if (words <= this.#words.length) return;
    const more = new Uint32Array(Math.max(words, Math.ceil(1.5 * this.#words.length)));
    more.set(this.#words.subarray(0, this.#length));
    this.#words = more;
  }
}

/** Bytes of a block beside its words. */
export const BLOCK_BYTES = 4 * BLOCK_WORDS;

/**
 * Reads a part; its words may be views of the bytes.
 *
 * @throws {ProtocolError} not this part of a copy of this partition, or not whole
 */
export function readCopyPart(
  bytes: Uint8Array,
  { partition, number }: { partition: number; number: number },
): { blocks: Block[]; last: boolean } {
  const what = `part ${number} of the copy of partition ${partition}`;
  if (bytes.length < 4 * HEADER_WORDS || bytes.length % 4 !== 0)
    throw new ProtocolError(`${what} has ${bytes.length} bytes: whole words, and a header of ${4 * HEADER_WORDS}`);
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(buffer, byteOffset, bytes.length / 4);
  if (words[0] !== MAGIC) throw new ProtocolError(`${what} is no part of a copy: it begins with ${words[0]}`);
  if (words[1] !== number || words[2] !== partition)
    throw new ProtocolError(`part ${words[1]} of the copy of partition ${words[2]} came in place of ${what}`);
  const blocks: Block[] = [];
  for (let at = HEADER_WORDS; at < words.length;) {
    const [id = 0, place = 0, length = 0] = words.subarray(at, at + BLOCK_WORDS);
    const kind = KINDS.get(id);
    if (kind === undefined) throw new ProtocolError(`${what} has a block of unknown kind ${id}`);
    at += BLOCK_WORDS;
    if (at + length > words.length)
      throw new ProtocolError(`${what} ends after ${words.length} words, within ${length} words of ${kind}`);
    blocks.push({ kind, place, words: words.subarray(at, at + length) });
    at += length;
  }
  return { blocks, last: words[3] === 1 };
}
