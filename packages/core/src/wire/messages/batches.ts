/** Worker ↔ coordinator, where that says what is trained next: batches that it gives out, and rounds that it calls. */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { message, u32 } from "./fields.ts";

export const batchMessages = [
  /**
   * Train on batch `batch`, from 0, of the job; all below `settled` are finished. `begun` batches were given to this
   * worker before, and `slowest` are what the slowest has finished. Where gradients are applied at a step's commit it
   * is slot `slot` of step `step`, attempt `term`.
   */
  message("batch", {
    job: u32,
    term: u32,
    lease: u32,
    batch: u32,
    settled: u32,
    begun: u32,
    slowest: u32,
    step: u32,
    slot: u32,
  }),
  /** Its gradients are pushed: where they are applied at once, the PS have them. */
  message("batch-done", {
    job: u32,
    lease: u32,
    batch: u32,
    samples: u32,
    lossSum: z.number(),
    /** What the batch took, without waiting for others. */
    computeMs: z.number().nonnegative(),
    /** Of the rows it needed, how many were kept from before. */
    cachedRows: u32.optional(),
    rows: u32.optional(),
  }),
  /** Average dense weights now, as members of `term` in their order; a member's change counts for its share. */
  message("call-round", {
    job: u32,
    term: u32,
    round: u32,
    shares: z.array(z.number().nonnegative()).max(LIMITS.workersPerJobMax),
  }),
  /** This worker has the mean of the round. */
  message("round-held", { job: u32, term: u32, round: u32 }),
  /** All have: apply it. Rank 0 then gives the dense state to workers that have none. */
  message("commit-round", { job: u32, term: u32, round: u32, newcomers: z.array(u32).max(LIMITS.workersPerJobMax) }),
  /** This worker has the dense state after the round. */
  message("dense-ready", { job: u32, round: u32 }),
  /** To rank 0: store the dense weights on the PS; it answers "trained". */
  message("store-dense", { job: u32, term: u32, step: u32 }),
] as const;
