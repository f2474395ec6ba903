/**
 * What an author writes for the care of a table's vocabulary: which keys get a row, and which rows go. What PS nodes
 * do about it is in `table/`.
 */
import { LIMITS } from "../../limits.ts";
import { counterSpecSchema, type AdmissionSpec, type CounterSpec, type EvictionSpec } from "../../table/table-spec.ts";
import { checkInteger, refuseUnknownKeys } from "./author-error.ts";

/** Keys that wait for a row and are counted one by one, unless said otherwise. */
const KEYS_MAX = 1_000_000;

/**
 * A key gets a row with the `updates`-th step that pushes a gradient for it; what the steps before would have changed
 * is dropped, and until then the key reads as its initial value. Reading and predicting count nothing.
 *
 * @param updates from 2 to 255
 * @param counter counts the keys that have no row yet; `exactCounter()` by default
 * @throws {RangeError} a number out of its range
 * @throws {TypeError} a counter that is none
 * @see DeepRec's CounterFilter and CBFFilter; Monolith, arXiv 2209.07663, §2.2.2
 * @example embedding({ table: "item", dim: 16, admit: afterUpdates(3) })
 */
export function afterUpdates(updates: number, counter: CounterSpec = exactCounter()): AdmissionSpec {
  const { admissionUpdatesMax: max } = LIMITS;
  checkInteger("afterUpdates(): updates", updates, { min: 2, max, usual: 3 });
  const checked = counterSpecSchema.safeParse(counter);
  if (!checked.success) {
    throw new TypeError(
      `afterUpdates(): counter is ${JSON.stringify(counter)}; make it with exactCounter() or countingBloom()`,
      { cause: checked.error },
    );
  }
  return { kind: "count", updates, counter };
}

/**
 * Counts each key by itself, in about 25 bytes. When `keysMax` keys wait, all counts are halved, as often as it takes
 * to forget a quarter of the keys: rare ones fall out.
 *
 * @param options.keysMax keys of the table that are counted at a time, over all PS nodes; 1,000,000 by default
 * @throws {RangeError} a number out of its range
 * @example afterUpdates(3, exactCounter({ keysMax: 10_000_000 }))
 */
export function exactCounter(options: { keysMax?: number } = {}): CounterSpec {
  refuseUnknownKeys("exactCounter()", options, ["keysMax"]);
  const { keysMax = KEYS_MAX } = options;
  const { admissionCountersMax: max } = LIMITS;
  checkInteger("exactCounter(): keysMax", keysMax, { min: 1, max, usual: KEYS_MAX });
  return { kind: "exact", keysMax };
}

/**
 * Counts keys in a counting Bloom filter, about 10 bytes a key where one in a hundred may be counted too high, whatever
 * the keys' number: made for `keys` of them, it halves all counts whenever more wait. No key waits longer than it
 * should. It cannot forget a key: one whose row went away gets a new one sooner than it did at first.
 *
 * @param options.keys keys of the table that wait at a time, over all PS nodes
 * @param options.falsePositives share of keys that may get their row too early; 0.01 by default
 * @throws {RangeError} a number out of its range, or more counters than a table may have
 * @example afterUpdates(3, countingBloom({ keys: 100_000_000 }))
 */
export function countingBloom(options: { keys: number; falsePositives?: number }): CounterSpec {
  refuseUnknownKeys("countingBloom()", options, ["keys", "falsePositives"]);
  const { keys, falsePositives = 0.01 } = options;
  checkInteger("countingBloom(): keys", keys, { min: 1, max: LIMITS.admissionCountersMax, usual: KEYS_MAX });
  if (!(falsePositives >= 1e-9 && falsePositives <= 0.5)) {
    throw new RangeError(
      `countingBloom(): falsePositives is ${falsePositives}; it must be a number from 1e-9 to 0.5, as 0.01`,
    );
  }
  const spec: CounterSpec = { kind: "bloom", keys, falsePositives };
  const checked = counterSpecSchema.safeParse(spec);
  if (checked.success) return spec;
  throw new RangeError(`countingBloom(): ${JSON.stringify(options)} ${checked.error.issues[0]!.message}`);
}

/** When rows go; `rowsMax` or `expireSteps`, or both. */
export interface EvictionOptions {
  /**
   * Rows the table may have, over all PS nodes; each of the cluster's partitions may have an equal share. A share that
   * is exceeded after a step loses rows until a sixteenth of it is free.
   */
  rowsMax?: number;
  /** A row that no step has updated for so many steps goes, at most a sixteenth of that time later. */
  expireSteps?: number;
}

/**
 * Where a table has too many rows, those go that were updated least recently (among equals, least often). A key whose
 * row went reads as its initial value, and gets a new row, with a new optimizer state, as a key that was never seen.
 *
 * @throws {RangeError} a number out of its range
 * @throws {TypeError} neither `rowsMax` nor `expireSteps`
 * @see DeepRec's EmbeddingVariable (`steps_to_live`, CacheStrategy.LRU); Persia, KDD 2022, §4.2
 * @example embedding({ table: "item", dim: 16, evict: leastRecent({ rowsMax: 1e6, expireSteps: 10_000 }) })
 */
export function leastRecent(options: EvictionOptions): EvictionSpec {
  return eviction("leastRecent()", "least-recent", options);
}

/**
 * Where a table has too many rows, those go that were updated least often (among equals, least recently), as with
 * {@link leastRecent} otherwise. Rows that were frequent once stay: give them an `expireSteps` too.
 *
 * @throws {RangeError} a number out of its range
 * @throws {TypeError} neither `rowsMax` nor `expireSteps`
 * @see DeepRec's CacheStrategy.LFU
 * @example embedding({ table: "item", dim: 16, evict: leastFrequent({ rowsMax: 1e6 }) })
 */
export function leastFrequent(options: EvictionOptions): EvictionSpec {
  return eviction("leastFrequent()", "least-frequent", options);
}

function eviction(place: string, order: EvictionSpec["order"], options: EvictionOptions): EvictionSpec {
  refuseUnknownKeys(place, options, ["rowsMax", "expireSteps"]);
  const { rowsMax, expireSteps } = options;
  if (rowsMax === undefined && expireSteps === undefined)
    throw new TypeError(`${place} needs rowsMax or expireSteps, as { rowsMax: 1e6 }: without them no row ever goes`);
  if (rowsMax !== undefined)
    checkInteger(`${place}: rowsMax`, rowsMax, { min: 1, max: Number.MAX_SAFE_INTEGER, usual: 1_000_000 });
  if (expireSteps !== undefined)
    checkInteger(`${place}: expireSteps`, expireSteps, { min: 1, max: 0xffff_ffff, usual: 10_000 });
  return {
    ...(expireSteps === undefined ? {} : { expireSteps }),
    ...(rowsMax === undefined ? {} : { rowsMax }),
    order,
  };
}
