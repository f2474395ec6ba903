/** The consistency modes by name. */
import { aspMode } from "./asp.ts";
import { balancedMode, bspMode, quorumMode } from "./bsp.ts";
import { localSgdMode } from "./local-sgd.ts";
import type { Consistency, ConsistencySpec } from "./mode.ts";
import { sspMode } from "./ssp.ts";

/** The mode a spec names. */
export function consistencyOf(spec: ConsistencySpec): Consistency {
  switch (spec.mode) {
    case "bsp":
      if (spec.quorum !== undefined) return quorumMode(spec.quorum);
      return spec.balance === true ? balancedMode : bspMode;
    case "ssp":
      return sspMode(spec.stalenessSteps);
    case "asp":
      return aspMode;
    case "localSgd":
      return localSgdMode({ every: spec.every, outer: spec.outer, compression: spec.compression ?? "float32" });
    default:
      return spec satisfies never;
  }
}

/**
 * The same mode with its dense variables there, or undefined where it cannot have them there. With them on the PS,
 * steps of `bsp()` are closed by the coordinator, when all slots are in.
 */
export function withDense(spec: ConsistencySpec, dense: "all-reduce" | "ps"): ConsistencySpec | undefined {
  if (consistencyOf(spec).dense === dense) return spec;
  return spec.mode === "bsp" && dense === "ps" && spec.balance !== true ? { ...spec, quorum: 1 } : undefined;
}
