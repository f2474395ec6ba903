/**
 * Requests to PS nodes that are answered by one frame each, matched by request id. Used for what is no step:
 * reading and setting rows, exports, evaluation.
 *
 * What happens when a peer dies here: `failLink` rejects what was asked of it; nothing waits forever.
 */
import { ClusterError, type ClusterErrorCode } from "../errors.ts";
import type { ControlOf, Frame, Link } from "../wire/index.ts";

interface Waiting {
  link: Link;
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  readonly #gone = new WeakMap<Link, string>();
  #next: number;

  /** @param firstId ids count up from here; a user of the same links with other ids must stay below it */
  constructor({ firstId = 1 }: { firstId?: number } = {}) {
    this.#next = firstId;
  }

  /**
   * Sends a request and resolves with its reply.
   *
   * @throws {ClusterError} the code the node answered, or PARTITION_UNAVAILABLE when the link closes first
   */
  ask(link: Link, request: Frame): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const gone = this.#gone.get(link);
      if (gone !== undefined) {
        reject(lost(link, gone));
        return;
      }
      const requestId = this.#next++;
      this.#waiting.set(requestId, { link, resolve, reject });
      link.sendFrame({ ...request, requestId });
    });
  }

  /** Takes a frame if it answers a request of ours. */
  takeFrame(frame: Frame): boolean {
    const waiting = this.#waiting.get(frame.requestId);
    if (!waiting) return false;
    this.#waiting.delete(frame.requestId);
    waiting.resolve(frame);
    return true;
  }

  /** Takes an error if it answers a request of ours. */
  takeError({ requestId, code, message }: ControlOf<"error">): boolean {
    const waiting = requestId === undefined ? undefined : this.#waiting.get(requestId);
    if (!waiting) return false;
    this.#waiting.delete(requestId!);
    waiting.reject(new ClusterError(code as ClusterErrorCode, message));
    return true;
  }

  /** The link has closed: what was asked over it, or will be, is not answered. */
  failLink(link: Link, reason: string): void {
    this.#gone.set(link, reason);
    for (const [id, waiting] of this.#waiting) {
      if (waiting.link !== link) continue;
      this.#waiting.delete(id);
      waiting.reject(lost(link, reason));
    }
  }
}

function lost(link: Link, reason: string): ClusterError {
  return new ClusterError("PARTITION_UNAVAILABLE", `${link.name} is gone: ${reason}`);
}
