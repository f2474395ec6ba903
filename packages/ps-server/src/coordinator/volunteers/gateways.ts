/** The gateways of a cluster: where volunteers reach it, and what each has seen. */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { ControlOf, GatewayStatus } from "@volary/core/wire";

/** Of the coordinator. */
type LinkId = number;

export interface Gateway {
  readonly name: string;
  readonly link: LinkId;
  report: GatewayStatus;
}

export class Gateways {
  readonly #gateways = new Map<LinkId, Gateway>();

  get links(): Iterable<LinkId> {
    return this.#gateways.keys();
  }

  has(link: LinkId): boolean {
    return this.#gateways.has(link);
  }

  /** As volunteers know them, each once. */
  get urls(): string[] {
    return [...new Set(this.status().map(({ url }) => url))];
  }

  /** @throws {ClusterError} LIMIT_EXCEEDED */
  join(link: LinkId, { name, url }: ControlOf<"gateway-join">): Gateway {
    if (this.#gateways.size >= LIMITS.gatewaysMax && !this.#gateways.has(link))
      throw new ClusterError("LIMIT_EXCEEDED", `this cluster has ${LIMITS.gatewaysMax} gateways already`);
    const gateway = { name, link, report: { url, connected: 0, refused: {}, bytesIn: 0, bytesOut: 0 } };
    this.#gateways.set(link, gateway);
    return gateway;
  }

  /** @throws {ClusterError} NOT_A_MEMBER */
  memberOf(link: LinkId): Gateway {
    const gateway = this.#gateways.get(link);
    if (gateway) return gateway;
    throw new ClusterError("NOT_A_MEMBER", "only a gateway that has joined may say this");
  }

  /** The gateway that was there, if there was one. */
  remove(link: LinkId): Gateway | undefined {
    const gateway = this.#gateways.get(link);
    this.#gateways.delete(link);
    return gateway;
  }

  status(): GatewayStatus[] {
    return Array.from(this.#gateways.values(), ({ report }) => report);
  }
}
