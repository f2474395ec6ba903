/** PS node ↔ coordinator: members, the partition map, jobs whose tables are opened, and chains that change. */
import { z } from "zod";
import { consistencySpecSchema } from "../../consistency/index.ts";
import { LIMITS } from "../../limits.ts";
import { partitionMapSchema, psNodeSchema } from "../../partition/index.ts";
import { tableSpecSchema } from "../../table/index.ts";
import { message, text, u32 } from "./fields.ts";

export const psNodeMessages = [
  /** `node`: the number that it had, and has rows by, when its coordinator was lost. */
  message("ps-join", { ...psNodeSchema.pick({ name: true, address: true }).shape, node: u32.optional() }),
  message("ps-joined", { node: u32 }),
  /** To PS nodes at every change; to workers and clients when a head changed, or when they ask. */
  message("map", { map: partitionMapSchema }),
  message("map-request", {}),
  message("open-job", {
    job: u32,
    seed: u32,
    consistency: consistencySpecSchema,
    /** Of the job, and the reserved one. */
    tables: z.array(tableSpecSchema).max(LIMITS.tablesPerJobMax + 1),
  }),
  message("job-opened", { job: u32 }),
  message("close-job", { job: u32 }),
  /** Every node of `next` has all records, and from now on none is acknowledged without them. */
  message("chain-ready", { partition: u32, generation: u32, next: z.array(u32).min(1).max(LIMITS.psNodesMax) }),
  /** From the head of a chain that is held: all its nodes have the same records. */
  message("chain-quiet", { partition: u32, generation: u32 }),
  /** `node` cannot hold its copy of a partition: no memory for it, most likely. */
  message("chain-broken", { partition: u32, generation: u32, node: u32, message: text }),
] as const;
