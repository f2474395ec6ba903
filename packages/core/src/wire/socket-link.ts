/**
 * A {@link Link} over any WebSocket: ours in Node and the browser's own have the same face. Bytes that break the
 * protocol close this one connection, with the reason in the close frame, and nothing else; so does an error that
 * a listener throws.
 */
import { ClusterError, ProtocolError, type ClusterErrorCode } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { RecycledBuffers } from "./buffer-pool.ts";
import type { Clock } from "./clock.ts";
import {
  decodeControl,
  encodeControl,
  negotiate,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  versionRefusal,
  type Control,
  type ControlOf,
} from "./control.ts";
import { bytesOfFrame, decodeFrame, encodeFrame, encodeHead, type Frame } from "./frame.ts";
import type { Hello, Link, LinkEvents, LinkFault } from "./link.ts";

/** What Volary uses of a WebSocket. */
export interface Socket {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  /** Where a socket knows it, `onSent` tells that `data` may be changed: once, even if the socket is closed. */
  send(data: string | Uint8Array<ArrayBuffer>, onSent?: () => void): void;
  /** Where a socket can: sends one message of two pieces from where they lie; both stay untouched until `onSent`. */
  sendPieces?(head: Uint8Array<ArrayBuffer>, body: Uint8Array<ArrayBuffer>, onSent: () => void): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  /** Text; or an ArrayBuffer; or a Uint8Array, which may be of memory that is used again once this returns. */
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  /** `code`: where the other end broke RFC 6455, the one that this end closes with. */
  onerror: ((event: { message?: string; code?: number }) => void) | null;
}

/** Told of an error that a listener threw: a bug, whose link has been closed. By default it goes to the console. */
export type FaultSink = (error: unknown) => void;

export interface OpenLinkOptions {
  /** Still connecting, or open. */
  socket: Socket;
  /** For messages to people. */
  address: string;
  hello: Hello;
  clock: Clock;
  onFault?: FaultSink;
  /** As of {@link AcceptLinkOptions}. */
  unsentBytesMax?: number | undefined;
}

export interface AcceptLinkOptions {
  socket: Socket;
  /** Who this side is, told in the welcome. */
  name: string;
  clock: Clock;
  /** May turn the peer away with a reason it can read. */
  refuse?: (hello: ControlOf<"hello">) => { code: ClusterErrorCode; message: string } | undefined;
  onFault?: FaultSink;
  /** What may wait to be read by the peer before it counts as a slow reader; `LIMITS.sendBufferBytesMax` by default. */
  unsentBytesMax?: number | undefined;
  /** Characters of a control message of the peer's, which is not read where it is longer; `LIMITS.controlBytesMax` by default. */
  controlCharsMax?: number | undefined;
}

const OPEN = 1;
/** No close frame came: the other process died, or the network did. */
const BROKEN = 1006;
const CLOSE_NORMAL = 4000;
const CLOSE_PROTOCOL_ERROR = 4002;
const CLOSE_SLOW_READER = 4003;
const CLOSE_FAULT = 4004;
/** RFC 6455 §7.4.1: a message over the limit. */
const CLOSE_TOO_BIG = 1009;

/**
 * Says hello over a socket and waits for the welcome.
 *
 * @throws {ClusterError} COORDINATOR_UNAVAILABLE when nothing answers there, TIMEOUT, or the code of the refusal
 */
export async function openLink(o: OpenLinkOptions): Promise<Link> {
  const { socket, address, hello, clock } = o;
  const link = new SocketLink({ ...o, name: address });
  const { role, name, id, job, session } = hello;
  const sayHello = () =>
    link.sendControl({
      type: "hello",
      protocol: { min: PROTOCOL_MIN, max: PROTOCOL_MAX },
      role,
      name,
      ...(id === undefined ? {} : { id }),
      ...(job === undefined ? {} : { job }),
      ...(session === undefined ? {} : { session }),
    });
  socket.onopen = sayHello;
  if (socket.readyState === OPEN) sayHello();
  const answer = await firstControl({ link, clock, what: `cannot connect to ${address}` });
  if (answer.type === "welcome") {
    link.name = answer.name;
    return link;
  }
  link.close("the welcome did not come");
  if (answer.type === "refuse" || answer.type === "error") {
    throw new ClusterError(answer.code as ClusterErrorCode, `${address} refused: ${answer.message}`);
  }
  throw new ClusterError(
    "PROTOCOL_VIOLATION",
    `${address} answered hello with "${answer.type}"; is it a Volary server?`,
  );
}

/**
 * Answers a hello on an accepted socket.
 *
 * @returns the link and the peer's hello, or undefined when the peer was turned away or left; never rejects
 */
export async function acceptLink(o: AcceptLinkOptions): Promise<{ link: Link; hello: ControlOf<"hello"> } | undefined> {
  const link = new SocketLink({ ...o, name: "a peer that has not said hello" });
  let hello: Control;
  try {
    hello = await firstControl({ link, clock: o.clock, what: "no hello" });
  } catch {
    return undefined; // the link is closed, and the reason went with it
  }
  const refusal = refusalOf(hello, o, link);
  if (refusal || hello.type !== "hello") {
    if (refusal) link.sendControl(refusal);
    link.close(refusal?.message ?? "refused");
    return undefined;
  }
  link.name = hello.name;
  link.sendControl({ type: "welcome", protocol: negotiate(hello.protocol)!, name: o.name });
  return { link, hello };
}

function refusalOf(hello: Control, o: AcceptLinkOptions, link: SocketLink): ControlOf<"refuse"> | undefined {
  if (hello.type !== "hello") {
    return { type: "refuse", code: "PROTOCOL_VIOLATION", message: `expected hello, got "${hello.type}"` };
  }
  if (negotiate(hello.protocol) === undefined) return versionRefusal({ ...hello.protocol, name: hello.name });
  try {
    const refusal = o.refuse?.(hello);
    return refusal && { type: "refuse", ...refusal };
  } catch (error) {
    link.fault(error);
    return { type: "refuse", code: "PROTOCOL_VIOLATION", message: "this side failed to answer the hello" };
  }
}

/** Frames of this length are encoded in buffers that are used again: clearing a new one costs as much as filling it. */
const SENDING_BYTES_MIN = 65_536;
/** A socket that never says that it has sent a buffer leaves it to the garbage collector. */
const SENDING = new RecycledBuffers({ bytesMax: LIMITS.sendBuffersBytesKept });

class SocketLink implements Link {
  name: string;
  readonly #socket: Socket;
  readonly #onFault: FaultSink;
  readonly #unsentBytesMax: number;
  readonly #controlCharsMax: number;
  #events: LinkEvents | undefined;
  /** What came while nobody listened. */
  #waiting: unknown[] = [];
  #closed: { reason: string; fault: LinkFault | undefined } | undefined;
  #toldClosed = false;

  constructor(o: Pick<AcceptLinkOptions, "socket" | "name" | "onFault" | "unsentBytesMax" | "controlCharsMax">) {
    const { socket, name, onFault } = o;
    this.#socket = socket;
    this.#onFault = onFault ?? ((error) => console.error(error));
    this.#unsentBytesMax = o.unsentBytesMax ?? LIMITS.sendBufferBytesMax;
    this.#controlCharsMax = o.controlCharsMax ?? LIMITS.controlBytesMax;
    this.name = name;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => (this.#events ? this.#receive(data) : this.#wait(data));
    socket.onerror = ({ message, code }) => this.#closeOnce(message || "the connection failed", faultOf(code));
    socket.onclose = ({ code, reason }) => this.#closeOnce(reason || closedBy(code));
  }

  sendControl(control: Control): void {
    this.#send(encodeControl(control));
  }

  sendFrame(frame: Frame, onSent?: () => void): void {
    if (frame.lent) return this.#sendLent(frame, onSent);
    let lent: Uint8Array<ArrayBuffer> | undefined;
    const bytes = encodeFrame(frame, (length) => {
      if (length < SENDING_BYTES_MIN) return new Uint8Array(length);
      return (lent = SENDING.allocate(length));
    });
    this.#send(bytes, () => {
      if (lent) SENDING.release(lent);
      onSent?.();
    });
  }

  /** Values that a copy would cost more than two pieces are sent from where they lie. */
  #sendLent(frame: Frame, onSent: () => void = () => {}): void {
    const socket = this.#socket;
    const pieces = bytesOfFrame(frame) < SENDING_BYTES_MIN || !socket.sendPieces ? undefined : encodeHead(frame);
    if (!pieces) {
      this.sendFrame({ ...frame, lent: false });
      onSent();
    } else if (this.#maySend()) socket.sendPieces!(pieces.head, pieces.body, onSent);
    else onSent();
  }

  close(reason: string): void {
    this.#shut(CLOSE_NORMAL, reason);
  }

  listen(events: LinkEvents): void {
    this.#events = events;
    while (this.#events === events && this.#waiting.length > 0) this.#receive(this.#waiting.shift());
    if (this.#closed) this.#tellClosed(this.#closed);
  }

  /** Lets messages wait until the next `listen`. */
  pause(): void {
    this.#events = undefined;
  }

  /** A listener threw something that is not the peer's fault. */
  fault(error: unknown): void {
    this.#shut(CLOSE_FAULT, `internal error: ${error instanceof Error ? error.message : String(error)}`);
    this.#onFault(error);
  }

  #send(data: string | Uint8Array<ArrayBuffer>, onSent?: () => void): void {
    if (this.#maySend()) this.#socket.send(data, onSent);
    else onSent?.();
  }

  /** A message sent after the close is lost, as one sent just before it may be; a slow reader's link is closed. */
  #maySend(): boolean {
    if (this.#closed || this.#socket.readyState !== OPEN) return false;
    const { bufferedAmount } = this.#socket;
    if (bufferedAmount <= this.#unsentBytesMax) return true;
    const reason = `${this.name} reads too slowly: ${bufferedAmount} bytes wait for it`;
    this.#shut(CLOSE_SLOW_READER, reason, "SLOW_READER");
    return false;
  }

  #wait(data: unknown): void {
    if (this.#waiting.length < LIMITS.earlyFramesMax) {
      this.#waiting.push(data instanceof Uint8Array ? data.slice() : data);
    } else {
      const reason = `over ${LIMITS.earlyFramesMax} messages came before anyone listened`;
      this.#shut(CLOSE_PROTOCOL_ERROR, reason, "PROTOCOL_VIOLATION");
    }
  }

  #receive(data: unknown): void {
    try {
      if (typeof data === "string") this.#events!.onControl(this.#decode(data));
      else if (data instanceof Uint8Array) this.#events!.onFrame(decodeFrame(data));
      else if (data instanceof ArrayBuffer) this.#events!.onFrame(decodeFrame(new Uint8Array(data)));
      else throw new ProtocolError("a message is neither text nor binary");
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.sendControl({ type: "error", code: "PROTOCOL_VIOLATION", message: error.message });
        this.#shut(CLOSE_PROTOCOL_ERROR, error.message, "PROTOCOL_VIOLATION");
      } else this.fault(error);
    }
  }

  #decode(json: string): Control {
    if (json.length <= this.#controlCharsMax) return decodeControl(json);
    throw new ProtocolError(`a control message of ${json.length} characters; ${this.#controlCharsMax} may come here`);
  }

  /** Closes from this side: what the peer has sent and will send is not heard any more. */
  #shut(code: number, reason: string, fault?: LinkFault): void {
    this.#waiting = [];
    this.#socket.onmessage = null;
    this.#socket.close(code, closeReason(reason));
    this.#closeOnce(reason, fault);
  }

  /** What came before a close from the other side is still heard. */
  #closeOnce(reason: string, fault?: LinkFault): void {
    if (this.#closed) return;
    this.#closed = { reason, fault };
    this.#tellClosed(this.#closed);
  }

  #tellClosed({ reason, fault }: { reason: string; fault: LinkFault | undefined }): void {
    if (this.#toldClosed || !this.#events) return;
    this.#toldClosed = true;
    try {
      this.#events.onClose(reason, fault);
    } catch (error) {
      this.#onFault(error);
    }
  }
}

/**
 * The first control message of a link, within the time a hello may take. Later messages wait for the next `listen`.
 *
 * @throws {ClusterError} TIMEOUT, or COORDINATOR_UNAVAILABLE when the connection closes first; `what` opens the text
 */
function firstControl({ link, clock, what }: { link: SocketLink; clock: Clock; what: string }): Promise<Control> {
  return new Promise((resolve, reject) => {
    const late = `no answer within ${LIMITS.helloTimeoutMs} ms`;
    const cancel = clock.after(LIMITS.helloTimeoutMs, () => {
      reject(new ClusterError("TIMEOUT", `${what}: ${late}`));
      link.close(late);
    });
    link.listen({
      onControl: (control) => {
        cancel();
        link.pause();
        resolve(control);
      },
      onFrame: () => {
        throw new ProtocolError("a binary frame came before the hello");
      },
      onClose: (reason) => {
        cancel();
        reject(new ClusterError("COORDINATOR_UNAVAILABLE", `${what}: ${reason}`));
      },
    });
  });
}

function closedBy(code: number): string {
  return code === BROKEN ? "the connection broke" : `the connection closed (${code})`;
}

function faultOf(code: number | undefined): LinkFault | undefined {
  if (code === undefined) return undefined;
  return code === CLOSE_TOO_BIG ? "LIMIT_EXCEEDED" : "PROTOCOL_VIOLATION";
}

const CLOSE_REASON_BYTES_MAX = 123;

/** As much of a text as a close frame carries, cut between characters. */
function closeReason(text: string): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(CLOSE_REASON_BYTES_MAX));
  return text.slice(0, read);
}
