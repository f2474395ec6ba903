/** From a link, or from a session that was kept, to an invitation that can be trusted. */
import { ClusterError } from "@volary/core/errors";
import type { Admitted, Invitation, LinkFragment } from "@volary/core/job";
import { checkInvitation } from "./check-invitation.ts";
import { functionRefusal } from "./function-refusal.ts";
import type { GatewayApi } from "./gateway-api.ts";
import { forgetSession, keepSession, keptSession, type Stores } from "./kept-session.ts";

export interface Entry {
  session: string;
  volunteer: number;
  /** Of the job, when it was asked. */
  phase: string;
  invitation: Invitation;
}

/**
 * A link's token is of use once: where it was used in this browser, the session that it gave goes on.
 *
 * @throws {ClusterError} why the volunteer is not let in; TOKEN_UNKNOWN where there is neither link nor session
 */
export async function enter(o: {
  fragment: LinkFragment | undefined;
  stores: Stores;
  api: GatewayApi;
}): Promise<Entry> {
  const { fragment, stores, api } = o;
  const kept = keptSession(stores);
  if (!fragment) {
    if (!kept) throw new ClusterError("TOKEN_UNKNOWN", "this page was opened without an invitation's link");
    return entryOf(await resumed(o, kept), kept.keyId, stores);
  }
  try {
    return entryOf(await api.join(fragment.token), fragment.keyId, stores);
  } catch (error) {
    const isUsed = error instanceof ClusterError && error.code === "TOKEN_USED";
    if (!isUsed || kept?.keyId !== fragment.keyId) throw error;
    return entryOf(await resumed(o, kept), kept.keyId, stores);
  }
}

async function resumed(o: { stores: Stores; api: GatewayApi }, kept: { session: string }): Promise<Admitted> {
  try {
    return await o.api.session(kept.session);
  } catch (error) {
    if (error instanceof ClusterError && !error.retryable && error.code !== "TOO_MANY") forgetSession(o.stores, kept);
    throw error;
  }
}

function entryOf({ session, volunteer, phase, invitation: signed }: Admitted, keyId: string, stores: Stores): Entry {
  const invitation = checkInvitation(signed, keyId);
  const refusal = functionRefusal(invitation.manifest);
  if (refusal) throw refusal;
  keepSession(stores, { session, keyId });
  return { session, volunteer, phase, invitation };
}
