/**
 * Requests to PS nodes, matched with their replies by request id. Used for what is no step: reading and setting rows,
 * exports, evaluation. Long lists of keys travel once, and by name after that (`wire/key-lists.ts`).
 *
 * What happens when a peer dies here: `failLink` rejects what was asked of it; nothing waits forever.
 */
import { ClusterError, ProtocolError, type ClusterErrorCode } from "../errors.ts";
import { KeyNames, type ControlOf, type Frame, type Link } from "../wire/index.ts";
import type { PulledRows } from "./pulled-rows.ts";

interface Waiting {
  link: Link;
  request: Frame;
  /** Where the values of a pull go. */
  rows: PulledRows | undefined;
  /** Were its keys sent by name alone? */
  named: boolean;
  resolve(frame: Frame): void;
  reject(error: Error): void;
}

export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  readonly #gone = new WeakMap<Link, string>();
  readonly #names = new WeakMap<Link, KeyNames>();
  #closed: Error | undefined;
  #next: number;

  /** @param firstId ids count up from here; a user of the same links with other ids must stay below it */
  constructor({ firstId = 1 }: { firstId?: number } = {}) {
    this.#next = firstId;
  }

  /**
   * Sends a request and resolves with its reply, which the caller owns; of a reply in parts with the last one, without
   * its values. The request's arrays must stay as they are until then.
   *
   * @param rows takes the parts of a pull's reply as they come
   * @throws {ClusterError} the code the node answered, or PARTITION_UNAVAILABLE when the link closes first
   */
  ask(link: Link, request: Frame, rows?: PulledRows): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const gone = this.#gone.get(link);
      if (this.#closed || gone !== undefined) {
        reject(this.#closed ?? lost(link, gone!));
        return;
      }
      const requestId = this.#next++;
      const waiting = { link, request: { ...request, requestId }, rows, named: false, resolve, reject };
      this.#waiting.set(requestId, waiting);
      this.#send(waiting);
    });
  }

  /**
   * Takes a frame if it answers a request of ours.
   *
   * @throws {ProtocolError} an answer that does not fit its request
   */
  takeFrame(frame: Frame): boolean {
    const { requestId } = frame;
    const waiting = this.#waiting.get(requestId);
    if (!waiting) return false;
    if (frame.opcode === "unknownKeys") {
      this.#sendWhole(waiting, frame.keyList);
      return true;
    }
    waiting.rows?.take(frame);
    if (frame.partial) return true;
    this.#waiting.delete(requestId);
    waiting.resolve(waiting.rows ? withoutValues(frame) : copyOf(frame));
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

  /** Nothing is answered any more: what waits fails with this error, and what is asked later. */
  close(error: Error): void {
    this.#closed = error;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #send(waiting: Waiting): void {
    const { link, request } = waiting;
    const frame = this.#namesOf(link).shorten(request);
    waiting.named = frame.keyList.length > 0 && frame.partitions.length === 0;
    link.sendFrame(frame);
  }

  #sendWhole(waiting: Waiting, keyList: Uint8Array): void {
    if (!waiting.named) throw new ProtocolError(`${waiting.link.name} does not know keys that it was sent`);
    this.#namesOf(waiting.link).forget(keyList);
    this.#send(waiting);
  }

  #namesOf(link: Link): KeyNames {
    let names = this.#names.get(link);
    if (!names) this.#names.set(link, (names = new KeyNames()));
    return names;
  }
}

/** The frame is a view of bytes that are used again before its asker sees it. */
function copyOf(frame: Frame): Frame {
  return { ...withoutValues(frame), values: new Float32Array(frame.values), coded: new Uint8Array(frame.coded) };
}

function withoutValues(frame: Frame): Frame {
  return {
    ...frame,
    keyList: new Uint8Array(frame.keyList),
    tables: new Uint32Array(frame.tables),
    partitions: new Uint32Array(frame.partitions),
    generations: new Uint32Array(frame.generations),
    counts: new Uint32Array(frame.counts),
    keys: new Uint32Array(frame.keys),
    values: new Float32Array(0),
    coded: new Uint8Array(0),
  };
}

function lost(link: Link, reason: string): ClusterError {
  return new ClusterError("PARTITION_UNAVAILABLE", `${link.name} is gone: ${reason}`);
}
