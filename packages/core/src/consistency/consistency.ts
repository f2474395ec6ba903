/**
 * The consistency modes by name. `bsp` (Valiant, CACM 1990) is the first; bounded delay and asynchronous modes
 * join it here.
 */
import { bspMode } from "./bsp.ts";
import type { Consistency, ConsistencySpec } from "./mode.ts";

/** The mode a spec names. */
export function consistencyOf(spec: ConsistencySpec): Consistency {
  switch (spec.mode) {
    case "bsp":
      return bspMode;
    default:
      return spec.mode satisfies never;
  }
}
