/**
 * Two ends of a simulated WebSocket. Each direction is a pipe: what goes in comes out in order, each message after
 * a delay of its own. A pipe can be held (nothing comes out for a time), be made to drop what goes in, or be cut.
 *
 * Bytes are copied when they arrive, and only then is the sender told that they are sent: one that uses a buffer again
 * too early is found out. They arrive as they do from a real socket: text as a string, binary as an ArrayBuffer.
 */
import type { Socket } from "../wire/index.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;
const BROKEN = 1006;

export type Parcel =
  | { open: true }
  | { data: string | Uint8Array; onSent?: (() => void) | undefined }
  | { close: number; reason: string };

/** What a pipe asks of the network it belongs to. */
export interface PipeOptions {
  readonly clock: SimulatedClock;
  delayMs(): number;
  onDelivered(): void;
  onDropped(messages: number): void;
}

/** One direction of a connection. */
export class Pipe {
  readonly #o: PipeOptions;
  readonly #deliver: (parcel: Parcel) => void;
  /** In order; those before `#next` have come out. */
  #queue: { parcel: Parcel; at: number }[] = [];
  #next = 0;
  #newestAt = 0;
  #heldUntil = 0;
  #dropUntil = 0;
  #cut = false;

  constructor({ deliver, ...o }: PipeOptions & { deliver: (parcel: Parcel) => void }) {
    this.#o = o;
    this.#deliver = deliver;
  }

  get waiting(): number {
    return this.#queue.length - this.#next;
  }

  put(parcel: Parcel): void {
    const { clock } = this.#o;
    if (this.#cut || clock.now() < this.#dropUntil) {
      this.#o.onDropped(1);
      letGo(parcel);
      return;
    }
    this.#newestAt = Math.max(this.#newestAt, clock.now() + this.#o.delayMs());
    this.#queue.push({ parcel, at: this.#newestAt });
    clock.after(this.#newestAt - clock.now(), () => this.#flow());
  }

  /** Nothing comes out until then; it is not lost. */
  hold(untilMs: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, untilMs);
    this.#o.clock.after(this.#heldUntil - this.#o.clock.now(), () => this.#flow());
  }

  /** What goes in until then is lost, and the connection does not notice. */
  drop(untilMs: number): void {
    this.#dropUntil = Math.max(this.#dropUntil, untilMs);
  }

  /** Takes nothing more; of what is under way only the first `keep` messages arrive. */
  cut(keep: number): void {
    this.#cut = true;
    this.#o.onDropped(Math.max(0, this.waiting - keep));
    for (const { parcel } of this.#queue.splice(this.#next + Math.min(this.waiting, keep))) letGo(parcel);
  }

  #flow(): void {
    const now = this.#o.clock.now();
    while (now >= this.#heldUntil && this.#next < this.#queue.length && this.#queue[this.#next]!.at <= now) {
      this.#o.onDelivered();
      this.#deliver(this.#queue[this.#next++]!.parcel);
    }
    if (this.waiting > 0) return;
    this.#queue = [];
    this.#next = 0;
  }
}

/** One end. */
export class SimulatedSocket implements Socket {
  binaryType = "blob";
  readyState: number = CONNECTING;
  readonly bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: { message?: string }) => void) | null = null;
  /** Where what this end sends goes in. */
  out: Pipe | undefined;
  /** The process of this end has died: it hears and says nothing more. */
  #dead = false;

  send(data: string | Uint8Array<ArrayBuffer>, onSent?: () => void): void {
    if (this.readyState === CONNECTING) throw new Error("the socket is still connecting");
    if (this.#dead || this.readyState !== OPEN) onSent?.();
    else this.out!.put({ data, onSent });
  }

  close(code = 1005, reason = ""): void {
    if (this.#dead || this.readyState >= CLOSING) return;
    if (this.readyState === CONNECTING) {
      this.fail("closed before the connection was made");
      return;
    }
    this.readyState = CLOSING;
    this.out!.put({ close: code, reason });
  }

  receive(parcel: Parcel): void {
    const data = "data" in parcel && typeof parcel.data !== "string" ? parcel.data.slice().buffer : undefined;
    letGo(parcel);
    if (this.#dead || this.readyState === CLOSED) return;
    if ("open" in parcel) {
      this.readyState = OPEN;
      this.onopen?.({} as never);
    } else if ("data" in parcel) this.onmessage?.({ data: data ?? parcel.data });
    else {
      if (this.readyState === OPEN && parcel.close !== BROKEN) this.out!.put(parcel); // the answering close frame
      this.readyState = CLOSED;
      this.onclose?.({ code: parcel.close, reason: parcel.reason });
    }
  }

  /** This end notices that the connection is gone. */
  break(): void {
    this.receive({ close: BROKEN, reason: "" });
  }

  fail(message: string): void {
    if (this.#dead || this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this.onerror?.({ message });
    this.onclose?.({ code: BROKEN, reason: "" });
  }

  die(): void {
    this.#dead = true;
  }
}

/** The sender's bytes are needed no more. */
function letGo(parcel: Parcel): void {
  if ("data" in parcel) parcel.onSent?.();
}
