/**
 * What a volunteer, or an observer, goes on with once its token has let it in: a secret of its own, until its job is over,
 * it is expelled or its time is up. Ended ones are remembered for as long as there is room, to say why they ended.
 */
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import type { InvitedRole } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { Invited } from "./tokens.ts";

export interface Session {
  readonly secret: string;
  readonly volunteer: number;
  readonly invited: Invited;
  /** On the coordinator's clock, in milliseconds. */
  readonly expiresAt: number;
  /** The link of the gateway through which its volunteer connected last. */
  gateway: number | undefined;
}

interface End {
  readonly code: ClusterErrorCode;
  readonly reason: string;
}

export class Sessions {
  readonly #secret: () => string;
  /** Oldest first, which all expire in this order. */
  readonly #open = new Map<string, Session>();
  readonly #secrets = new Map<number, string>();
  readonly #counts: Record<InvitedRole, number> = { volunteer: 0, observer: 0 };
  readonly #ended = new Map<string, End>();

  constructor(secret: () => string) {
    this.#secret = secret;
  }

  /** How many are open. */
  count(role: InvitedRole): number {
    return this.#counts[role];
  }

  /** @throws {ClusterError} TOO_MANY */
  checkRoom(): void {
    if (this.#open.size < LIMITS.sessionsMax) return;
    throw new ClusterError("TOO_MANY", `${LIMITS.sessionsMax} volunteers are here already; come back later`);
  }

  begin(volunteer: number, invited: Invited, now: number): Session {
    const secret = this.#secret();
    const session = { secret, volunteer, invited, expiresAt: now + LIMITS.sessionMs, gateway: undefined };
    this.#open.set(secret, session);
    this.#secrets.set(volunteer, secret);
    this.#counts[invited.role]++;
    return session;
  }

  /** @throws {ClusterError} SESSION_ENDED, or the code it has ended with */
  of(secret: string): Session {
    const session = this.#open.get(secret);
    if (session) return session;
    const { code, reason } = this.#ended.get(secret) ?? UNKNOWN;
    throw new ClusterError(code, reason);
  }

  /** The open session of a volunteer. */
  ofVolunteer(volunteer: number): Session | undefined {
    return this.#open.get(this.#secrets.get(volunteer) ?? "");
  }

  get all(): Iterable<Session> {
    return this.#open.values();
  }

  /** Those whose time is up. */
  *past(now: number): Iterable<Session> {
    for (const session of this.#open.values()) {
      if (now < session.expiresAt) return;
      yield session;
    }
  }

  end({ secret, volunteer, invited }: Session, end: End): void {
    if (this.#open.delete(secret)) this.#counts[invited.role]--;
    this.#secrets.delete(volunteer);
    this.#ended.set(secret, end);
    if (this.#ended.size <= LIMITS.sessionsMax) return;
    const [oldest] = this.#ended.keys();
    this.#ended.delete(oldest!);
  }
}

const UNKNOWN: End = {
  code: "SESSION_ENDED",
  reason: "this session is not known here any more; ask whoever sent the link for a new one",
};
