/** For the tests: data channels within one process, which deliver when the test lets them. */
import type { Channel, ChannelDialer, ChannelEvents, ChannelOptions, ChannelSignal } from "./channel.ts";

/**
 * Channels of a network that has no addresses: an offer names an end by a number, the answer another one.
 *
 * What is sent waits, as unsent bytes, until {@link deliver}, or as long as `later` says; a channel opens at once when the
 * answer has come.
 */
export class TestChannels {
  readonly #ends: TestEnd[] = [];
  readonly #later: ((deliver: () => void) => void) | undefined;

  constructor({ later }: { later?: (deliver: () => void) => void } = {}) {
    this.#later = later;
  }

  /** Of one member; `refuses` makes channels that never open. */
  dialer({ refuses = false }: { refuses?: boolean } = {}): ChannelDialer {
    return {
      open: (o) => {
        if (refuses) throw new Error("this browser has no WebRTC");
        const end: TestEnd = new TestEnd(this.#ends, o, () =>
          this.#later?.(() => {
            if (end.hasWaiting) end.deliverOne();
          }),
        );
        this.#ends.push(end);
        if (o.end === "offers") end.describe("offer");
        return end;
      },
    };
  }

  /** Delivers what waits, chunk by chunk, from any end that `pick` says. Returns whether there was something. */
  deliver(pick: (ends: number) => number = () => 0): boolean {
    const busy = this.#ends.filter((end) => end.hasWaiting);
    if (busy.length === 0) return false;
    busy[pick(busy.length)]!.deliverOne();
    return true;
  }

  /** What is sent from now on does not arrive, and no end hears of it. */
  mute(): void {
    for (const end of this.#ends) end.isMute = true;
  }

  /** Cuts every open channel: what waits is lost. */
  cut(reason = "the network is gone"): void {
    for (const end of this.#ends) end.break(reason);
  }

  get open(): number {
    return this.#ends.filter(({ isOpen }) => isOpen).length;
  }

  /** The most bytes that were unsent at any end. */
  get bufferedMax(): number {
    return Math.max(0, ...this.#ends.map(({ bufferedMax }) => bufferedMax));
  }
}

class TestEnd implements Channel {
  readonly #ends: TestEnd[];
  readonly #o: ChannelOptions;
  readonly #number: number;
  readonly #onSend: () => void;
  #other: TestEnd | undefined;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #state: "opening" | "open" | "closed" = "opening";
  bufferedBytes = 0;
  bufferedMax = 0;
  isMute = false;

  constructor(ends: TestEnd[], o: ChannelOptions, onSend: () => void) {
    this.#onSend = onSend;
    this.#ends = ends;
    this.#o = o;
    this.#number = ends.length;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get hasWaiting(): boolean {
    return this.isOpen && this.#waiting.length > 0;
  }

  get events(): ChannelEvents {
    return this.#o.events;
  }

  describe(type: "offer" | "answer"): void {
    this.#o.signal({ kind: "description", type, sdp: String(this.#number) });
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#waiting.push(bytes);
    this.bufferedBytes += bytes.length;
    this.bufferedMax = Math.max(this.bufferedMax, this.bufferedBytes);
    this.#onSend();
  }

  take(signal: ChannelSignal): void {
    if (signal.kind !== "description") return;
    this.#other = this.#ends[Number(signal.sdp)]!;
    if (signal.type === "offer") return this.describe("answer");
    for (const end of [this.#other, this]) {
      end.#state = "open";
      end.events.onOpen();
    }
  }

  deliverOne(): void {
    const bytes = this.#waiting.shift()!;
    this.bufferedBytes -= bytes.length;
    if (!this.isMute) this.#other!.events.onChunk(bytes);
    this.events.onLow();
  }

  break(reason: string): void {
    if (!this.isOpen) return;
    this.#state = "closed";
    this.#waiting = [];
    this.events.onClose(reason);
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#other?.break("the other end closed");
  }
}
