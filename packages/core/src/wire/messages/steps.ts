/**
 * The step transaction: leader and workers ↔ PS node, leader ↔ ranks.
 *
 * Its messages carry exactly what ARCHITECTURE.md's specification names; leaving out any of it breaks atomicity,
 * exactly-once or the fence.
 */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { attemptOf, message, u32 } from "./fields.ts";

const committed = z.strictObject(attemptOf);

export const stepMessages = [
  // `heads` of the sender's partition map: a PS node speaks for all partitions that it is the head of in that map.
  message("fence", { job: u32, term: u32, heads: u32 }),
  /** `committed`: the newest step of any of its partitions; `whole`: all have committed it. */
  message("promise", { job: u32, term: u32, heads: u32, committed, whole: z.boolean() }),
  message("start", {
    job: u32,
    ...attemptOf,
    term: u32,
    heads: u32,
    slots: u32,
    members: z.array(u32).max(LIMITS.workersPerJobMax),
    /** To ranks: by whose ranks the dense optimizer's state after the step before is split; 0 for one that is lost. */
    owners: z.array(u32).max(LIMITS.workersPerJobMax).optional(),
  }),
  message("staged", { job: u32, ...attemptOf, heads: u32 }),
  /** `hash` of the dense weights before the step and of what its exchange gave, 128 bits: ranks must have the same. */
  message("held", { job: u32, ...attemptOf, rank: u32, hash: z.string().regex(/^[0-9a-f]{32}$/) }),
  message("commit", { job: u32, ...attemptOf, term: u32, heads: u32 }),
  message("committed", { job: u32, ...attemptOf, heads: u32 }),
  /** The node's map is newer than the sender's: a new term is to begin. */
  message("stale-heads", { job: u32, heads: u32 }),
  message("stale-term", { job: u32, promised: u32 }),

  // Where steps close by the word of their leader, which is the coordinator then:
  /** All partitions of the node have a slot. */
  message("slot-in", { job: u32, ...attemptOf, slot: u32, heads: u32 }),
  /** The step is the sum of these slots, times `scale`; others are dropped. */
  message("close", {
    job: u32,
    ...attemptOf,
    term: u32,
    heads: u32,
    slots: z.array(u32).max(LIMITS.workersPerJobMax),
    scale: z.number().finite().positive(),
  }),
] as const;
