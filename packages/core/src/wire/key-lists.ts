/**
 * Key lists by name, so that a list of keys crosses a link once: a step's push has the keys of its pull, and an epoch
 * may ask again for what the one before asked for. (ps-lite's key caching filter is the same idea; Li et al., OSDI
 * 2014, §5.1.)
 *
 * A frame that carries a long list also carries its name, the 128-bit hash of its sections, and both ends remember
 * it; a later frame with the same sections carries the name alone. Names belong to one link and one direction, so no
 * peer can give another's name a meaning. Either end may forget: who does not know a name answers `unknownKeys`, and
 * the sender sends the frame whole.
 *
 * What happens when a peer dies here: a link that closes takes its names along.
 */
import { ProtocolError } from "../errors.ts";
import { KernelMemory } from "../kernels/index.ts";
import { LIMITS } from "../limits.ts";
import { KEY_LIST_NAME_BYTES, type Frame } from "./frame.ts";

export type KeySections = Pick<Frame, "tables" | "partitions" | "generations" | "counts" | "keys">;

/** The receiving end of a link: the lists it was sent. */
export class KeyLists {
  readonly #lists: RecentLists<KeySections>;

  /** @param o.listsMax how many it remembers at most */
  constructor({ listsMax = LIMITS.keyListsMax }: { listsMax?: number } = {}) {
    this.#lists = new RecentLists({ listsMax });
  }

  /**
   * The frame with its sections: those it carries, which are remembered if they have a name, or those that its name
   * stands for.
   *
   * @returns undefined where the name is not known
   * @throws {ProtocolError} a name for a list that is over the limits, which no sender remembers
   */
  resolve(f: Frame): Frame | undefined {
    if (f.keyList.length === 0) return f;
    const name = textOf(f.keyList);
    if (f.partitions.length === 0) {
      const sections = this.#lists.get(name);
      return sections && { ...f, ...sections };
    }
    const bytes = bytesOf(f);
    if (bytes > LIMITS.keyListBytesMax)
      throw new ProtocolError(
        `${f.opcode} frame names a key list of ${bytes} bytes; ${LIMITS.keyListBytesMax} is most`,
      );
    this.#lists.add(name, copyOf(f), bytes); // the frame may be a view of bytes that are used again
    return f;
  }
}

/** The sending end of a link: the names of the lists it has sent. */
export class KeyNames {
  readonly #sent = new RecentLists<true>({ listsMax: LIMITS.keyListsMax });

  /**
   * The frame as it is best sent now: without the sections that the other end knows by name, with a name where it
   * shall remember them, as it is where a name gains nothing. It must be sent, in this order, or `forget` be called.
   */
  shorten(f: Frame): Frame {
    if (f.sequences.length > 0) return f; // a record has all of its sections
    const bytes = bytesOf(f);
    if (f.keys.length < 2 * LIMITS.keyListKeysMin || bytes > LIMITS.keyListBytesMax) return f;
    const keyList = nameOf(f);
    const name = textOf(keyList);
    if (this.#sent.get(name)) return { ...f, ...NO_SECTIONS, keyList };
    this.#sent.add(name, true, bytes);
    return { ...f, keyList };
  }

  /** The other end does not know this name. */
  forget(keyList: Uint8Array): void {
    this.#sent.delete(textOf(keyList));
  }
}

/** What is used most recently, within the bounds of one link. Both ends keep to the same ones. */
class RecentLists<T> {
  /** The one that was used longest ago comes first. */
  readonly #lists = new Map<string, { value: T; bytes: number }>();
  readonly #listsMax: number;
  #bytes = 0;

  constructor({ listsMax }: { listsMax: number }) {
    this.#listsMax = listsMax;
  }

  get(name: string): T | undefined {
    const found = this.#lists.get(name);
    if (!found) return undefined;
    this.#lists.delete(name);
    this.#lists.set(name, found);
    return found.value;
  }

  add(name: string, value: T, bytes: number): void {
    this.delete(name);
    this.#lists.set(name, { value, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#lists.keys()) {
      if (this.#bytes <= LIMITS.keyListBytesMax && this.#lists.size <= this.#listsMax) break;
      this.delete(oldest);
    }
  }

  delete(name: string): void {
    const found = this.#lists.get(name);
    if (!found) return;
    this.#lists.delete(name);
    this.#bytes -= found.bytes;
  }
}

const NO_SECTIONS: KeySections = {
  tables: new Uint32Array(0),
  partitions: new Uint32Array(0),
  generations: new Uint32Array(0),
  counts: new Uint32Array(0),
  keys: new Uint32Array(0),
};

/** Holds nothing between two calls. */
const HASHES = new KernelMemory();
/** Names of lists that were named before: a push has the very arrays of its pull. */
const NAMED = new WeakMap<Uint32Array, { sections: KeySections; name: Uint8Array }>();

/** The hash of the hashes of the sections, and their lengths. */
function nameOf(f: KeySections): Uint8Array {
  const known = NAMED.get(f.keys);
  if (known && isSame(known.sections, f)) return known.name;
  const { tables, partitions, generations, counts, keys } = f;
  const sections = [tables, partitions, generations, counts, keys];
  const hashes = new Uint8Array(sections.length * KEY_LIST_NAME_BYTES);
  sections.forEach((words, i) => {
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    hashes.set(HASHES.hash128(bytes), i * KEY_LIST_NAME_BYTES);
  });
  const name = HASHES.hash128(hashes);
  NAMED.set(keys, { sections: { tables, partitions, generations, counts, keys }, name });
  return name;
}

/** Are these the same arrays? */
function isSame(a: KeySections, b: KeySections): boolean {
  return (
    a.keys === b.keys &&
    a.counts === b.counts &&
    a.generations === b.generations &&
    a.partitions === b.partitions &&
    a.tables === b.tables
  );
}

function copyOf({ tables, partitions, generations, counts, keys }: KeySections): KeySections {
  return {
    tables: new Uint32Array(tables),
    partitions: new Uint32Array(partitions),
    generations: new Uint32Array(generations),
    counts: new Uint32Array(counts),
    keys: new Uint32Array(keys),
  };
}

function bytesOf({ tables, partitions, generations, counts, keys }: KeySections): number {
  return tables.byteLength + partitions.byteLength + generations.byteLength + counts.byteLength + keys.byteLength;
}

/** A name as a key of a map. */
function textOf(name: Uint8Array): string {
  return String.fromCharCode(...name);
}
