/** What a gateway has seen since it began, and when its coordinator hears of that. */
import { LIMITS } from "@volary/core/limits";
import type { GatewayStatus } from "@volary/core/wire";

export class GatewayCounts {
  /** Of messages from volunteers, and to them. */
  bytesIn = 0;
  bytesOut = 0;
  readonly #refused = new Map<string, number>();
  /** What was reported last. */
  #reported = "";
  #reportedAt = -Infinity;

  refuse(code: string): void {
    this.#refused.set(code, (this.#refused.get(code) ?? 0) + 1);
  }

  status(now: Pick<GatewayStatus, "url" | "connected">): GatewayStatus {
    const { bytesIn, bytesOut } = this;
    return { ...now, refused: Object.fromEntries(this.#refused), bytesIn, bytesOut };
  }

  /** What is to be reported now; undefined where nothing has changed, or too soon after the last time. */
  report(status: GatewayStatus, now: number): GatewayStatus | undefined {
    if (now - this.#reportedAt < LIMITS.gatewayNewsEveryMs) return undefined;
    const report = JSON.stringify(status);
    if (report === this.#reported) return undefined;
    this.#reported = report;
    this.#reportedAt = now;
    return status;
  }

  /** The coordinator is another one, or has forgotten. */
  reportAnew(): void {
    this.#reported = "";
  }
}
