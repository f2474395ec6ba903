/**
 * Which rows came to another place in memory while somebody lists the rows part by part, so that none is missed: rows
 * keep their places but for those that come back from disk, and those that move so that memory can be given back.
 */
import { KeyIndex } from "./key-index.ts";

export class MovedRows {
  #watches: readonly KeyIndex[] = [];

  /** Notes the keys of rows that move from now on. */
  watch(): KeyIndex {
    const keys = new KeyIndex();
    this.#watches = [...this.#watches, keys];
    return keys;
  }

  /** Notes no more in what `watch` gave. */
  unwatch(keys: KeyIndex): void {
    this.#watches = this.#watches.filter((other) => other !== keys);
  }

  /** A row with this key has moved. */
  note(lo: number, hi: number): void {
    for (const keys of this.#watches) if (keys.find(lo, hi) < 0) keys.insert(lo, hi);
  }
}
