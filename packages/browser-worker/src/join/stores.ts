/** Where a page keeps what outlives it. */
export interface Stores {
  /** Of the tab. */
  tab: Storage;
  /** Of the browser. */
  browser: Storage;
}

/** A browser may forbid to keep anything, and people change what is kept: then nothing is. */
export function trying<T>(attempt: () => T): T | undefined {
  try {
    return attempt();
  } catch {
    return undefined;
  }
}
