/** Gateway ↔ coordinator: tokens and sessions of volunteers, and what the gateway has seen. */
import { z } from "zod";
import { signedInvitationSchema } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { gatewayStatusSchema } from "./cluster-status.ts";
import { address, message, name, secret, text, u32 } from "./fields.ts";
import { jobPhaseSchema } from "./job-status.ts";

export const gatewayMessages = [
  message("gateway-join", { name, url: z.string().max(500) }),
  /**
   * Takes a token, which is of use no more then, for a session; answered by "session" or "error". Who has the claim that
   * the token was redeemed with, and so may have missed the answer, gets the same session again.
   */
  message("redeem", { request: u32, token: secret, claim: secret.optional() }),
  /** Of a page that comes again, of a volunteer that connects, or of one that is connected since before a link was lost. */
  message("session-request", { request: u32, session: secret, state: z.enum(["enters", "connects", "connected"]) }),
  message("session", {
    request: u32,
    session: secret,
    volunteer: u32,
    job: u32,
    phase: jobPhaseSchema,
    expiresInMs: z.number().nonnegative(),
    invitation: signedInvitationSchema,
    /** Workers of the job that take volunteers, and how many they have. */
    reducers: z
      .array(z.strictObject({ worker: u32, address, leaves: u32, leavesMax: u32 }))
      .max(LIMITS.workersPerJobMax),
  }),
  /** The volunteer's session has ended, or goes on elsewhere: its connection is to be closed, with this code and reason. */
  message("revoked", { volunteer: u32, code: name, reason: text }),
  message("gateway-report", gatewayStatusSchema.shape),
] as const;
