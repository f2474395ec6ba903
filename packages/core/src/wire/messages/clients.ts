/** Client ↔ coordinator: jobs that are submitted, run, watched and ended, invitations, and the cluster's status. */
import { z } from "zod";
import { invitedRoleSchema, jobManifestSchema } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { partitionMapSchema } from "../../partition/index.ts";
import { clusterStatusSchema } from "./cluster-status.ts";
import { attemptOf, message, name, secret, text, u32 } from "./fields.ts";
import { jobStatusSchema } from "./job-status.ts";

export const clientMessages = [
  message("submit", { manifest: jobManifestSchema }),
  message("submitted", { job: u32, map: partitionMapSchema }),
  message("run-job", { job: u32 }),
  /** `trusted`: they may connect to each other, and nothing they send is clipped. */
  message("invite", {
    job: u32,
    role: invitedRoleSchema,
    uses: z.number().int().min(1).max(LIMITS.invitationUsesMax),
    validMs: z.number().positive().max(LIMITS.invitationMsMax),
    trusted: z.boolean(),
    /** Who asks, and for what, in their own words. */
    by: z.string().max(200),
    about: z.string().max(2_000),
  }),
  /** `keyId` names the key that the job's invitation is signed with. */
  message("invited", {
    tokens: z.array(secret).max(LIMITS.invitationUsesMax),
    keyId: name,
    urls: z.array(z.string().max(500)),
  }),
  /** Ends training after the step under way; the job is evaluated and done. */
  message("finish-job", { job: u32, reason: text }),
  message("stop-job", { job: u32 }),
  message("watch", { job: u32 }),
  message("job-status", { status: jobStatusSchema }),
  /** Moves all partitions away from a PS node, by name; it may be stopped once it holds none. */
  message("drain", { node: name }),
  message("draining", { node: name }),
  message("status-request", {}),
  message("status", { status: clusterStatusSchema }),
  message("commits-request", { job: u32 }),
  message("commits", {
    job: u32,
    commits: z.array(z.strictObject(attemptOf)),
    /** `shares` as of the message "term". */
    terms: z.array(
      z.strictObject({ term: u32, members: z.array(u32), shares: z.array(z.number().positive()).optional() }),
    ),
  }),
] as const;
