/**
 * A consistency mode is one pure object. Everything that differs between modes is asked of it here; no other
 * file names a mode. `bsp` (Valiant, CACM 1990) is the first; bounded delay and asynchronous modes join it.
 */
import { z } from "zod";
import { bspMode } from "./bsp.ts";

export const consistencySpecSchema = z.discriminatedUnion("mode", [z.strictObject({ mode: z.literal("bsp") })]);
export type ConsistencySpec = z.infer<typeof consistencySpecSchema>;

export interface Consistency {
  /** Where dense gradients are combined. */
  readonly dense: "all-reduce" | "ps";
  /** May a pull that wants the state after `wanted - 1` be answered when `committed` steps are? */
  mayPull(at: { wanted: number; committed: number }): boolean;
  /** Do the slots that are in close the step? */
  closesStep(at: { slotsIn: number; slots: number }): boolean;
  /** What happens to a slot that arrives after its step closed. */
  onLate(): "drop" | "apply";
}

/** The mode a spec names. */
export function consistencyOf(spec: ConsistencySpec): Consistency {
  switch (spec.mode) {
    case "bsp":
      return bspMode;
    default:
      return spec.mode satisfies never;
  }
}
