/** What a volunteer gives at most, kept for the next visit; and whether that means a pause right now. */
import type { LeafPause } from "@volary/core/training";

export interface Limits {
  /** Of the time, in percent, 10 to 100. */
  sharePercent: number;
  /** Only while the battery is charging, where there is one. */
  mainsOnly: boolean;
  /** Only while the tab is seen. */
  whileSeen: boolean;
  /** Not while the browser is asked to save data. */
  dataSaver: boolean;
  /** Megabytes of this visit; 0 is no limit. */
  megabytesMax: number;
  /** May other volunteers of a trusted job connect to this one, and so learn its address? Asked at every visit. */
  mayConnect: boolean;
}

export const FIRST_LIMITS: Limits = {
  sharePercent: 100,
  mainsOnly: false,
  whileSeen: false,
  dataSaver: true,
  megabytesMax: 0,
  mayConnect: false,
};

export const SHARE_PERCENT = { min: 10, max: 100, step: 5 };
export const MEGABYTES_MAX = 1_000_000;

/** What surrounds the tab, as far as the browser tells. */
export interface Surroundings {
  isHidden: boolean;
  isFrozen: boolean;
  /** Does the battery run the machine? */
  isOnBattery: boolean;
  isSavingData: boolean;
}

/** Why a volunteer takes no task now; undefined where nothing forbids it. */
export function pauseFor(limits: Limits, around: Surroundings, bytes: number): LeafPause | undefined {
  if (around.isFrozen || (limits.whileSeen && around.isHidden)) return "hidden";
  if (limits.mainsOnly && around.isOnBattery) return "battery";
  if (limits.dataSaver && around.isSavingData) return "data";
  if (limits.megabytesMax > 0 && bytes >= limits.megabytesMax * 1e6) return "limits";
  return undefined;
}

const KEY = "volary.limits";

export function keepLimits(storage: Storage, limits: Limits): void {
  try {
    storage.setItem(KEY, JSON.stringify(limits));
  } catch {
    // A browser that keeps nothing asks again next time.
  }
}

/** Anything that is not as it was kept is as at first. */
export function keptLimits(storage: Storage): Limits {
  let kept: Partial<Record<keyof Limits, unknown>>;
  try {
    kept = Object(JSON.parse(storage.getItem(KEY) ?? "{}")) as typeof kept;
  } catch {
    return FIRST_LIMITS;
  }
  const number = (value: unknown, first: number, { min, max }: { min: number; max: number }) =>
    typeof value === "number" && value >= min && value <= max ? value : first;
  const yes = (value: unknown, first: boolean) => (typeof value === "boolean" ? value : first);
  return {
    sharePercent: number(kept.sharePercent, FIRST_LIMITS.sharePercent, SHARE_PERCENT),
    mainsOnly: yes(kept.mainsOnly, FIRST_LIMITS.mainsOnly),
    whileSeen: yes(kept.whileSeen, FIRST_LIMITS.whileSeen),
    dataSaver: yes(kept.dataSaver, FIRST_LIMITS.dataSaver),
    megabytesMax: number(kept.megabytesMax, FIRST_LIMITS.megabytesMax, { min: 0, max: MEGABYTES_MAX }),
    mayConnect: FIRST_LIMITS.mayConnect, // whoever asks next may be somebody else
  };
}
