/**
 * One member's part in the rounds of a group: volunteers that trust each other, and their reducer, all-reduce the dense
 * gradients of a step's tasks among themselves. Pieces go by data channels where there are some, and by the leaf links
 * through the reducer where not: it is the same round either way.
 *
 * A round is named by a number that the reducer never uses again. It is all or nothing: a member that loses messages
 * leaves it and says so, and the reducer calls another one, for which all members still have what they brought.
 */
import { ProtocolError } from "../../../errors.ts";
import { decodeFrame, encodeFrame, type Clock, type ControlOf, type Frame, type Message } from "../../../wire/index.ts";
import { DenseRounds } from "../../dense/dense-round.ts";
import { decodeSignal, encodeSignal, type ChannelDialer, type GroupSignal, type IceServer } from "./channel.ts";
import { GroupLinks } from "./group-links.ts";

export interface GroupMemberOptions {
  job: number;
  /** Its number: 0 of the reducer, otherwise the volunteer's. */
  member: number;
  /** Opens data channels, where its owner allows that others learn its address. */
  dialer?: ChannelDialer | undefined;
  clock: Clock;
  /** Sends by the leaf links, towards a member. A frame's arrays may change after the call. */
  send: (to: number, message: Message) => void;
  /** STUN and TURN servers; the reducer tells volunteers which. */
  iceServers?: readonly IceServer[] | undefined;
  /** What went wrong with a channel or a message, for people; the round goes another way. */
  onFault?: ((error: unknown) => void) | undefined;
}

export interface GroupRound {
  round: number;
  /** In the order of their ranks; this member is one of them. */
  members: readonly number[];
  /** float32, shape [n], as long for every member: copied */
  data: Float32Array;
}

interface Running {
  readonly round: number;
  readonly members: readonly number[];
  readonly resolve: (sum: Float32Array | undefined) => void;
}

export class GroupMember {
  readonly #o: GroupMemberOptions;
  readonly #links: GroupLinks;
  readonly #rounds: DenseRounds;
  #running: Running | undefined;
  /** Rounds below this one are over. */
  #next = 0;
  #isClosed = false;

  constructor(o: GroupMemberOptions) {
    this.#o = o;
    this.#links = new GroupLinks({
      member: o.member,
      dialer: o.dialer,
      clock: o.clock,
      signal: (to, signal) => this.signal(to, signal),
      onMessage: (from, bytes) => this.#takeFrom(from, decodeFrame(bytes)),
      onBroken: (member) => {
        if (this.#running?.members.includes(member)) this.#break();
      },
      onFault: o.onFault,
    });
    this.#links.iceServers = o.iceServers ?? [];
    this.#rounds = new DenseRounds({
      job: o.job,
      send: (to, f, onSent) => {
        const named = { ...f, generation: o.member, term: to };
        if (!this.#links.reaches(to)) o.send(to, { frame: { ...named, lent: false } });
        else this.#links.send(to, encodeFrame(named));
        onSent?.();
      },
      reduced: (_, sum) => this.#finish(sum),
      awaits: ({ step }) => step >= this.#next,
    });
  }

  /** Members with an open data channel. */
  get channels(): readonly number[] {
    return this.#links.open;
  }

  /**
   * Takes part in a round, instead of any that is under way.
   *
   * @returns float32, shape [n]: what all members brought, with the same bits for all; undefined if the round was left
   */
  sum({ round, members, data }: GroupRound): Promise<Float32Array | undefined> {
    this.abandon();
    if (this.#isClosed) return Promise.resolve(undefined);
    this.#links.meet(members);
    return new Promise((resolve) => {
      this.#running = { round, members, resolve };
      this.#next = round + 1;
      const rank = members.indexOf(this.#o.member);
      this.#guarded(() => this.#rounds.begin({ step: round, attempt: 0, rank, members, data: data.slice() }));
    });
  }

  /** Opens channels for rounds to come. */
  meet(members: readonly number[]): void {
    if (!this.#isClosed) this.#links.meet(members);
  }

  /** Leaves the round under way. */
  abandon(): void {
    const running = this.#running;
    if (!running) return;
    this.#running = undefined;
    running.resolve(undefined);
    this.#guarded(() => this.#rounds.abandon());
  }

  /**
   * A message "leaf-signal" of another member.
   *
   * @throws {ProtocolError} one that makes no sense, or that is for the reducer alone
   */
  takeSignal({ from, data }: ControlOf<"leaf-signal">): void {
    const signal = decodeSignal(data);
    if (signal.kind === "channel") this.#links.take(from, signal.attempt, signal.signal);
    else if (signal.kind === "leave") this.forget(from);
    else if (signal.kind === "welcome" && from === 0) this.#links.iceServers = signal.iceServers;
    else throw new ProtocolError(`a "${signal.kind}" signal is for the reducer alone`);
  }

  /**
   * A frame "reduce" for this member that came by the leaf links.
   *
   * @throws {ProtocolError} another frame, or one for another member
   */
  takeFrame(f: Frame): void {
    this.#takeFrom(f.generation, f);
  }

  signal(to: number, signal: GroupSignal): void {
    if (this.#isClosed) return;
    const control = { type: "leaf-signal", from: this.#o.member, to, data: encodeSignal(signal) } as const;
    this.#o.send(to, { control });
  }

  /** Another member has left: the channel to it closes, and a round with it is broken. */
  forget(member: number): void {
    this.#links.forget(member);
    if (this.#running?.members.includes(member)) this.#break();
  }

  close(): void {
    this.abandon();
    this.#isClosed = true;
    this.#links.close();
  }

  #takeFrom(from: number, f: Frame): void {
    const { member } = this.#o;
    if (f.opcode !== "reduce" || f.generation !== from || f.term !== member) {
      throw new ProtocolError(
        `a ${f.opcode} frame from member ${f.generation} to ${f.term} came from member ${from} to ${member}`,
      );
    }
    if (f.step < this.#next && f.step !== this.#running?.round) return; // of a round that is over
    this.#guarded(() => this.#rounds.take(f));
  }

  /** What is wrong in a round ends it. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#o.onFault?.(error);
      this.#break();
    }
  }

  #break(): void {
    const running = this.#running;
    if (!running) return;
    this.abandon();
    this.signal(0, { kind: "broken", round: running.round });
  }

  #finish(sum: Float32Array): void {
    const running = this.#running;
    this.#running = undefined;
    running?.resolve(sum);
  }
}
