/**
 * One member's data channels to the others of its group. Each pair has one channel at most, which the member with the
 * smaller number offers; the reducer is 0, the others have the numbers of their volunteers. While there is none,
 * {@link GroupLinks.send} says so, and the caller takes the way by the leaf links, which is always there.
 *
 * What happens when a peer dies here: its channel closes, what was on its way is lost, and the owner hears of it. After a
 * while the offering end tries again, if it still meets the other.
 */
import { LIMITS } from "../../../limits.ts";
import type { Clock } from "../../../wire/index.ts";
import { ChannelPipe } from "./channel-pipe.ts";
import type { Channel, ChannelDialer, ChannelSignal, GroupSignal, IceServer } from "./channel.ts";
import { Rest } from "./rest.ts";

export interface GroupLinksOptions {
  /** Number of this member. */
  member: number;
  /** Without one there are no channels. */
  dialer?: ChannelDialer | undefined;
  clock: Clock;
  /** To another member, by the leaf links. */
  signal: (to: number, signal: GroupSignal) => void;
  onMessage: (from: number, bytes: Uint8Array<ArrayBuffer>) => void;
  /** A channel that was open is gone. `reason` is for people. */
  onBroken: (member: number, reason: string) => void;
  /** A channel could not be opened, or something came over it that has no sense. */
  onFault?: ((error: unknown) => void) | undefined;
}

interface Attempt {
  readonly number: number;
  readonly channel: Channel;
  readonly pipe: ChannelPipe;
  isOpen: boolean;
  cancelTimeout: () => void;
}

export class GroupLinks {
  /** For channels that are opened from now on. */
  iceServers: readonly IceServer[] = [];
  readonly #o: GroupLinksOptions;
  readonly #attempts = new Map<number, Attempt>();
  /** Number of the newest attempt that this end has made, of those it offers to. */
  readonly #numbers = new Map<number, number>();
  /** Of members whose channel has failed. */
  readonly #rests = new Map<number, Rest>();
  #isClosed = false;

  constructor(o: GroupLinksOptions) {
    this.#o = o;
  }

  /** Members with an open channel. */
  get open(): number[] {
    return [...this.#attempts].filter(([, { isOpen }]) => isOpen).map(([member]) => member);
  }

  /** Is there a channel that things can be sent over? */
  reaches(member: number): boolean {
    return this.#attempts.get(member)?.isOpen === true;
  }

  /** Opens channels to those members that this one offers one to. */
  meet(members: readonly number[]): void {
    for (const member of members) {
      if (member <= this.#o.member || this.#attempts.has(member) || this.#isFull) continue;
      if (this.#rests.get(member)?.isOver(this.#o.clock.now()) === false) continue;
      const number = (this.#numbers.get(member) ?? 0) + 1;
      this.#numbers.set(member, number);
      this.#begin(member, number, "offers");
    }
  }

  /**
   * @param bytes not touched by the caller any more
   * @returns whether there is a channel to the member; nothing was sent otherwise
   */
  send(member: number, bytes: Uint8Array): boolean {
    const attempt = this.#attempts.get(member);
    if (!attempt?.isOpen) return false;
    try {
      attempt.pipe.send(bytes);
      return true;
    } catch (error) {
      this.#drop(member, attempt, messageOf(error));
      return true; // lost with its channel, which the owner has heard of
    }
  }

  /** A signal of another member about a channel between the two. */
  take(member: number, number: number, signal: ChannelSignal): void {
    if (this.#isClosed) return;
    let attempt = this.#attempts.get(member);
    const isOffer = signal.kind === "description" && signal.type === "offer";
    if (isOffer && member < this.#o.member) {
      if (attempt) this.#drop(member, attempt, "the other end opens another one");
      this.#begin(member, number, "answers");
      attempt = this.#attempts.get(member);
    }
    // Signals of an attempt that is over may still be on their way.
    if (attempt?.number !== number) return;
    if (signal.kind === "none") return this.#drop(member, attempt, "the other end has no channel");
    attempt.channel.take(signal);
  }

  /** The member is gone: its channel is closed, and nobody hears of it. */
  forget(member: number): void {
    this.#rests.delete(member);
    const attempt = this.#attempts.get(member);
    if (!attempt) return;
    this.#end(member, attempt);
    attempt.channel.close();
  }

  close(): void {
    this.#isClosed = true;
    for (const member of this.#attempts.keys()) this.forget(member);
  }

  get #isFull(): boolean {
    return this.#attempts.size >= LIMITS.groupVolunteersMax;
  }

  #begin(member: number, number: number, end: "offers" | "answers"): void {
    const { dialer, clock, signal } = this.#o;
    const tell = (told: ChannelSignal) => signal(member, { kind: "channel", attempt: number, signal: told });
    if (!dialer || this.#isFull) {
      if (end === "answers") tell({ kind: "none" });
      return;
    }
    const current = () => {
      const attempt = this.#attempts.get(member);
      return attempt?.number === number ? attempt : undefined;
    };
    try {
      const channel = dialer.open({
        end,
        iceServers: this.iceServers,
        signal: tell,
        events: {
          onOpen: () => {
            const attempt = current();
            if (!attempt) return;
            attempt.isOpen = true;
            attempt.cancelTimeout();
          },
          onChunk: (bytes) => this.#receive(member, current(), bytes),
          onLow: () => this.#flush(member, current()),
          onClose: (reason) => {
            const attempt = current();
            if (attempt) this.#drop(member, attempt, reason);
          },
        },
      });
      const attempt = { number, channel, pipe: new ChannelPipe(channel), isOpen: false, cancelTimeout: () => {} };
      attempt.cancelTimeout = clock.after(LIMITS.groupOpenMs, () =>
        this.#drop(member, attempt, `it did not open within ${LIMITS.groupOpenMs} ms`),
      );
      this.#attempts.set(member, attempt);
    } catch (error) {
      this.#fail(member, messageOf(error));
      tell({ kind: "none" });
    }
  }

  #flush(member: number, attempt: Attempt | undefined): void {
    try {
      attempt?.pipe.flush();
    } catch (error) {
      this.#drop(member, attempt!, messageOf(error));
    }
  }

  #receive(member: number, attempt: Attempt | undefined, chunk: Uint8Array): void {
    if (!attempt) return;
    try {
      const message = attempt.pipe.take(chunk);
      if (!message) return;
      this.#rests.get(member)?.succeed();
      this.#o.onMessage(member, message);
    } catch (error) {
      this.#drop(member, attempt, messageOf(error));
    }
  }

  /** A channel has failed; both ends and the owner hear of it. */
  #drop(member: number, attempt: Attempt, reason: string): void {
    if (this.#attempts.get(member) !== attempt) return;
    this.#end(member, attempt);
    attempt.channel.close();
    this.#o.signal(member, { kind: "channel", attempt: attempt.number, signal: { kind: "none" } });
    this.#fail(member, reason);
    if (attempt.isOpen) this.#o.onBroken(member, reason);
  }

  #end(member: number, attempt: Attempt): void {
    attempt.cancelTimeout();
    this.#attempts.delete(member);
  }

  #fail(member: number, reason: string): void {
    const rest = this.#rests.get(member) ?? new Rest();
    this.#rests.set(member, rest);
    rest.fail(this.#o.clock.now());
    const other = member === 0 ? "the reducer" : `volunteer ${member}`;
    this.#o.onFault?.(new Error(`the data channel to ${other} is gone: ${reason}`));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
