/** Worker ↔ coordinator: members, jobs, terms, leases, and what was trained and evaluated. */
import { z } from "zod";
import { jobManifestSchema } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { metricsStateSchema } from "../../metrics/index.ts";
import { partitionMapSchema } from "../../partition/index.ts";
import { leafStatusSchema } from "./cluster-status.ts";
import { address, attemptOf, message, name, text, u32 } from "./fields.ts";
import { badRowsSchema, jobPhaseSchema } from "./job-status.ts";

const leasePurpose = z.enum(["train", "evaluate"]);

const memberSchema = z.strictObject({ worker: u32, address });
export type Member = z.infer<typeof memberSchema>;

export const workerMessages = [
  /** `leaves`: as a reducer it takes so many volunteers. */
  message("worker-join", { name, address, backend: z.string().max(500), leaves: u32.optional() }),
  message("worker-joined", { worker: u32 }),
  message("assign", { job: u32, manifest: jobManifestSchema, map: partitionMapSchema }),
  message("ready", { job: u32, trainRows: u32, testRows: u32, fingerprint: name }),
  /** By the partition map with these `heads`, which came before. */
  message("term", {
    job: u32,
    term: u32,
    heads: u32,
    members: z.array(memberSchema).max(LIMITS.workersPerJobMax),
    /** How long the members' slices are in relation to one another; equal without it. */
    shares: z.array(z.number().positive()).max(LIMITS.workersPerJobMax).optional(),
  }).refine(({ members, shares }) => shares === undefined || shares.length === members.length, {
    path: ["shares"],
    error: "must be one for each member",
  }),
  message("term-request", { job: u32, term: u32, reason: text }),
  message("lease-request", { job: u32, purpose: leasePurpose, term: u32 }),
  message("lease", { job: u32, purpose: leasePurpose, term: u32, lease: u32, from: u32, to: u32 }),
  message("no-lease", { job: u32, purpose: leasePurpose, term: u32, reason: z.enum(["wait", "done"]) }),
  message("progress", {
    job: u32,
    term: u32,
    commits: z.array(z.strictObject({ ...attemptOf, samples: u32, lossSum: z.number() })).max(100_000),
  }),
  /** The newest step that this worker has computed in the term, and what its samples took since it last said so. */
  message("step-times", {
    job: u32,
    term: u32,
    step: u32,
    samples: u32,
    /** Without waiting for others. */
    computeMs: z.number().nonnegative(),
  }),
  message("trained", { job: u32, term: u32, step: u32 }),
  /** Evaluate the held-out rows as they are after `step`, once its dense result is applied. */
  message("evaluate", { job: u32, term: u32, step: u32 }),
  message("evaluated", { job: u32, lease: u32, metrics: metricsStateSchema }),
  /** Rows that this worker left out so far; `scope`: of all the data, or of the rows it has read. */
  message("bad-rows", { job: u32, scope: z.enum(["data", "read"]), ...badRowsSchema.shape }),
  message("fail", { job: u32, code: name, message: text }),
  message("end", { job: u32, phase: jobPhaseSchema, message: text.optional() }),
  /** From a reducer, about the volunteers that it has. */
  message("leaves", { job: u32, leaves: z.array(leafStatusSchema).max(LIMITS.leavesMax) }),
  /** A reducer has caught a volunteer cheating: its session ends. */
  message("expel", { job: u32, volunteer: u32, reason: text }),
] as const;
