/**
 * Single-use tokens: each lets one person in, until it expires. What was used or has expired is remembered for as
 * long as there is room, so that whoever comes with it again is told why it is of no use.
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Request } from "./signed-invitation.ts";

/** What all tokens of one invitation are good for. */
export interface Invited extends Request {
  readonly job: number;
  /** On the coordinator's clock, in milliseconds. */
  readonly expiresAt: number;
}

interface Token {
  readonly invited: Invited;
  used: Use | undefined;
}

interface Use {
  /** A secret of whoever used it; undefined where it gave none. */
  readonly claim: string | undefined;
  /** The secret of the session that came of it. */
  readonly session: string;
}

export class Tokens {
  readonly #secret: () => string;
  readonly #tokens = new Map<string, Token>();

  constructor(secret: () => string) {
    this.#secret = secret;
  }

  /** Makes `uses` tokens. @throws {ClusterError} LIMIT_EXCEEDED */
  make(invited: Invited, uses: number, now: number): string[] {
    if (this.#tokens.size + uses > LIMITS.tokensMax) this.#forgetPast(now);
    if (this.#tokens.size + uses > LIMITS.tokensMax) {
      const message = `${this.#tokens.size} tokens are open and ${LIMITS.tokensMax} may be; wait until some have expired`;
      throw new ClusterError("LIMIT_EXCEEDED", message);
    }
    return Array.from({ length: uses }, () => {
      const token = this.#secret();
      this.#tokens.set(token, { invited, used: undefined });
      return token;
    });
  }

  /**
   * What the token is good for, if it may be used now; {@link use} then takes it.
   *
   * @throws {ClusterError} TOKEN_UNKNOWN, TOKEN_USED, TOKEN_EXPIRED
   */
  check(token: string, now: number): Invited {
    const found = this.#tokens.get(token);
    const remedy = "ask whoever sent it for a new link";
    if (!found) throw new ClusterError("TOKEN_UNKNOWN", `no invitation has this token; ${remedy}`);
    const { invited, used } = found;
    if (used) throw new ClusterError("TOKEN_USED", `this link was used already, and each is good once; ${remedy}`);
    if (now >= invited.expiresAt) throw new ClusterError("TOKEN_EXPIRED", `this link has expired; ${remedy}`);
    return invited;
  }

  use(token: string, use: Use): void {
    this.#tokens.get(token)!.used = use;
  }

  /** The session that whoever has this claim got for the token, and may not have heard of. */
  sessionClaimed(token: string, claim: string | undefined): string | undefined {
    const used = this.#tokens.get(token)?.used;
    return used && claim !== undefined && used.claim === claim ? used.session : undefined;
  }

  #forgetPast(now: number): void {
    for (const [token, { invited, used }] of this.#tokens)
      if (used || now >= invited.expiresAt) this.#tokens.delete(token);
  }
}
