/** From a link, or from a session that was kept, to an invitation that can be trusted. */
import { ClusterError } from "@volary/core/errors";
import type { Admitted, Invitation, LinkFragment } from "@volary/core/job";
import { checkInvitation } from "./check-invitation.ts";
import { functionRefusal } from "./function-refusal.ts";
import type { GatewayApi } from "./gateway-api.ts";
import { forgetClaim, keepClaim, keptClaim } from "./kept-claim.ts";
import { forgetSession, keepSession, keptSession } from "./kept-session.ts";
import type { Stores } from "./stores.ts";

export interface Entry {
  session: string;
  volunteer: number;
  /** Of the job, when it was asked. */
  phase: string;
  invitation: Invitation;
}

/**
 * A link's token is of use once: where it was used in this browser, the session that it gave goes on. A page that was
 * closed or reloaded before it heard of the session asks again, with the claim that it kept before it asked.
 *
 * @param o.secret a new one, of 16 characters at least
 * @throws {ClusterError} why the volunteer is not let in; TOKEN_UNKNOWN where there is neither link nor session
 */
export async function enter(o: {
  fragment: LinkFragment | undefined;
  stores: Stores;
  api: GatewayApi;
  secret: () => string;
}): Promise<Entry> {
  const { fragment, stores } = o;
  const kept = keptSession(stores);
  const claim = keptClaim(stores, fragment) ?? (fragment && { ...fragment, claim: o.secret() });
  if (!claim) {
    if (!kept) throw new ClusterError("TOKEN_UNKNOWN", "this page was opened without an invitation's link");
    return entryOf(await resumed(o, kept), kept.keyId, stores);
  }
  try {
    keepClaim(stores, claim);
    const entry = entryOf(await o.api.join({ token: claim.token, claim: claim.claim }), claim.keyId, stores);
    forgetClaim(stores, claim);
    return entry;
  } catch (error) {
    if (isFinal(error)) forgetClaim(stores, claim);
    const isUsed = error instanceof ClusterError && error.code === "TOKEN_USED";
    if (!isUsed || kept?.keyId !== claim.keyId) throw error;
    return entryOf(await resumed(o, kept), kept.keyId, stores);
  }
}

async function resumed(o: { stores: Stores; api: GatewayApi }, kept: { session: string }): Promise<Admitted> {
  try {
    return await o.api.session(kept.session);
  } catch (error) {
    if (isFinal(error)) forgetSession(o.stores, kept);
    throw error;
  }
}

/** Is it of no use to ask again? */
const isFinal = (error: unknown): boolean =>
  error instanceof ClusterError && !error.retryable && error.code !== "TOO_MANY";

function entryOf({ session, volunteer, phase, invitation: signed }: Admitted, keyId: string, stores: Stores): Entry {
  const invitation = checkInvitation(signed, keyId);
  const refusal = invitation.role === "volunteer" ? functionRefusal(invitation.manifest) : undefined;
  if (refusal) throw refusal;
  keepSession(stores, { session, keyId });
  return { session, volunteer, phase, invitation };
}
