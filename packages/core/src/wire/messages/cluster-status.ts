/** Members of a cluster and what they do, as the coordinator tells who asks. */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { psNodeSchema } from "../../partition/index.ts";
import { counts, name, text, u32 } from "./fields.ts";
import { jobStatusSchema } from "./job-status.ts";

/** A volunteer, as its reducer sees it. */
export const leafStatusSchema = z.strictObject({
  volunteer: u32,
  name,
  /** For people: what computes there. */
  device: z.string().max(500),
  state: z.enum(["joining", "ready", "working", "paused"]),
  /** Samples of its accepted updates, and how many of these there are. */
  samples: z.number().nonnegative(),
  accepted: u32,
  /** Updates that came after their deadline, and those that were refused, by code. */
  late: u32,
  refused: counts,
  samplesPerSecond: z.number().nonnegative(),
});
export interface LeafStatus extends z.infer<typeof leafStatusSchema> {}

/** What a gateway has seen since it began. */
export const gatewayStatusSchema = z.strictObject({
  /** https://host:port, as volunteers know it. */
  url: z.string().max(500),
  connected: u32,
  /** What was refused, by code. */
  refused: counts,
  bytesIn: z.number().nonnegative(),
  bytesOut: z.number().nonnegative(),
});
export interface GatewayStatus extends z.infer<typeof gatewayStatusSchema> {}

/** What happened, for people. */
const clusterEventSchema = z.strictObject({
  /** Milliseconds since the coordinator began. */
  at: z.number().nonnegative(),
  kind: z.enum(["ps", "worker", "job", "volunteer", "gateway"]),
  message: text,
});
export interface ClusterEvent extends z.infer<typeof clusterEventSchema> {}

export const clusterStatusSchema = z.strictObject({
  nodes: z.array(
    z.strictObject({
      node: u32,
      name,
      address: psNodeSchema.shape.address,
      alive: z.boolean(),
      /** Is it being emptied, so that it can be stopped? */
      draining: z.boolean().optional(),
      /** Partitions it is the head of, and those it is another replica of. */
      partitions: u32,
      replicas: u32,
      /** Rows that it reads and changes for clients, per second. */
      load: z.number().optional(),
      rows: u32,
      bytes: z.number(),
      /** Memory that rows may take, where the node said so, and how many of the rows lie on disk. */
      bytesMax: z.number().optional(),
      diskRows: u32.optional(),
    }),
  ),
  workers: z.array(
    z.strictObject({
      worker: u32,
      name,
      job: u32.nullable(),
      backend: z.string(),
      /** Volunteers whose updates it combines. */
      leaves: z.array(leafStatusSchema).max(LIMITS.leavesMax).optional(),
    }),
  ),
  gateways: z.array(gatewayStatusSchema).optional(),
  /** Invitations that were made, tokens that were redeemed, open sessions of both roles, and volunteers that were expelled. */
  volunteers: z.strictObject({ invited: u32, redeemed: u32, sessions: u32, observers: u32, expelled: u32 }).optional(),
  /** The newest, oldest first. */
  events: z.array(clusterEventSchema).max(LIMITS.eventsKept).optional(),
  jobs: z.array(jobStatusSchema),
  mapVersion: u32,
  /** How many partitions have all their replicas, how many lack one, and how many are being copied or moved. */
  chains: z.strictObject({ whole: u32, short: u32, moving: u32 }),
  /** Since the coordinator began: heads taken over from lost nodes, and partitions moved for joins, drains and load. */
  failovers: u32,
  moves: u32,
  overrides: u32,
});
/** Members of a cluster and its jobs. */
export interface ClusterStatus extends z.infer<typeof clusterStatusSchema> {}
