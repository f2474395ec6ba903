/**
 * What a consistency mode is: one pure object. Everything that differs between modes is asked of it; no other file
 * names a mode.
 */
import { z } from "zod";

export const consistencySpecSchema = z.discriminatedUnion("mode", [z.strictObject({ mode: z.literal("bsp") })]);
/** A consistency mode, as `bsp()` makes it. Plain data: it travels in a job. */
export interface ConsistencySpec extends z.infer<typeof consistencySpecSchema> {}

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
