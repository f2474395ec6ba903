/**
 * The reducer's part in its group: who takes part, which rounds are called, and the way between members by the leaf
 * links. The reducer is itself member 0, with the gradients of its own part of the step.
 *
 * What happens when a volunteer dies here: another round is called without it, with what the others brought. After
 * `LIMITS.groupRoundsMax` rounds of one step, or as soon as the caller says so, all send their gradients to the reducer
 * instead, as volunteers do that are in no group.
 */
import { ProtocolError } from "../../../errors.ts";
import { LIMITS } from "../../../limits.ts";
import type { Clock, ControlOf, Frame, Message } from "../../../wire/index.ts";
import { decodeSignal, encodeSignal, type ChannelDialer, type IceServer } from "./channel.ts";
import { GroupMember } from "./group-member.ts";
import { Rest } from "./rest.ts";

export interface GroupLeaderOptions {
  job: number;
  clock: Clock;
  dialer?: ChannelDialer | undefined;
  /** STUN and TURN servers that all members use; none by default. */
  iceServers?: readonly IceServer[] | undefined;
  /** Sends over a volunteer's leaf link, if it has one. A frame's arrays may change after the call. */
  send: (volunteer: number, message: Message) => void;
  onFault?: ((error: unknown) => void) | undefined;
}

/** What the members of a round brought. */
export interface GroupSum {
  /** float32, shape [n]; the caller owns it */
  sum: Float32Array;
  /** Whose gradients are in it, beside the reducer's own. */
  volunteers: readonly number[];
}

/** The rounds for the tasks of one step. */
export interface GroupCall {
  /** Who takes part in the newest round. */
  readonly volunteers: readonly number[];
  /**
   * Brings the reducer's own gradients. Once.
   *
   * @param data float32, shape [n]: copied
   * @returns undefined when there will be no sum: volunteers have been told to send theirs
   */
  sum(data: Float32Array): Promise<GroupSum | undefined>;
  /** A volunteer's task is given up: it hears so, and a round without it is called. */
  lose(volunteer: number): void;
  /** There shall be no sum: volunteers send their gradients. */
  dissolve(): void;
}

export class GroupLeader {
  readonly #o: GroupLeaderOptions;
  readonly #self: GroupMember;
  readonly #volunteers = new Set<number>();
  #round = 0;
  #call: Call | undefined;
  /** So that a channel that loses everything without a word costs few steps, and one that lost a moment's little else. */
  readonly #rest = new Rest();

  constructor(o: GroupLeaderOptions) {
    this.#o = o;
    this.#self = new GroupMember({
      ...o,
      member: 0,
      send: (to, message) => {
        if (to !== 0) o.send(to, message);
        else if ("control" in message) this.#takeControl(0, message.control as ControlOf<"leaf-signal">);
      },
    });
  }

  /** Volunteers that take part. */
  get volunteers(): ReadonlySet<number> {
    return this.#volunteers;
  }

  /** Of these, the ones with an open data channel to the reducer. */
  get channels(): readonly number[] {
    return this.#self.channels;
  }

  /**
   * A message that came over a volunteer's leaf link: for the reducer, or to be passed on.
   *
   * @throws {ProtocolError} one that it may not send; its link should be closed
   */
  take(volunteer: number, message: { control: ControlOf<"leaf-signal"> } | { frame: Frame }): void {
    if ("control" in message) this.#takeControl(volunteer, message.control);
    else this.#takeFrame(volunteer, message.frame);
  }

  /** A volunteer's leaf link is gone. */
  lose(volunteer: number): void {
    if (!this.#volunteers.delete(volunteer)) return;
    this.#call?.lose(volunteer);
    this.#self.forget(volunteer);
    for (const other of this.#volunteers) this.#tell(other, volunteer, encodeSignal({ kind: "leave" }));
  }

  /**
   * Calls a round for tasks that are about to be given; those of a step before are over.
   *
   * @param tasks by volunteer
   * @returns undefined where none of these volunteers takes part, or the group rests after a round that came to nothing
   */
  call(tasks: ReadonlyMap<number, number>): GroupCall | undefined {
    this.#call?.dissolve();
    this.#call = undefined;
    const taking = new Map([...tasks].filter(([volunteer]) => this.#volunteers.has(volunteer)));
    const { clock, send } = this.#o;
    if (taking.size === 0 || !this.#rest.isOver(clock.now())) return undefined;
    this.#call = new Call({
      self: this.#self,
      tasks: taking,
      nextRound: () => ++this.#round,
      tell: (volunteer, control) => send(volunteer, { control }),
      onSummed: () => this.#rest.succeed(),
      onDissolved: () => this.#rest.fail(clock.now()),
    });
    return this.#call;
  }

  close(): void {
    this.#call?.end();
    this.#self.close();
  }

  #takeControl(from: number, control: ControlOf<"leaf-signal">): void {
    if (control.from !== from) throw new ProtocolError(`volunteer ${from} signs a signal as ${control.from}`);
    const signal = decodeSignal(control.data);
    switch (signal.kind) {
      case "join":
        if (this.#volunteers.size < LIMITS.groupVolunteersMax) this.#welcome(from);
        return;
      case "leave":
        return this.lose(from);
      case "welcome":
        throw new ProtocolError(`volunteer ${from} says what only the reducer does: "welcome"`);
      case "broken":
        return this.#call?.repeat(signal.round, from);
      case "channel":
        if (control.to === 0) this.#self.takeSignal(control);
        else if (this.#areMembers(from, control.to)) this.#tell(control.to, from, control.data);
        return;
      default:
        signal satisfies never;
    }
  }

  #welcome(volunteer: number): void {
    this.#volunteers.add(volunteer);
    this.#tell(volunteer, 0, encodeSignal({ kind: "welcome", iceServers: [...(this.#o.iceServers ?? [])] }));
    this.#self.meet([volunteer]);
  }

  #takeFrame(from: number, f: Frame): void {
    if (f.opcode !== "reduce" || f.generation !== from) {
      throw new ProtocolError(`a ${f.opcode} frame of member ${f.generation} came from volunteer ${from}`);
    }
    if (f.term === 0) this.#self.takeFrame(f);
    else if (this.#areMembers(from, f.term)) this.#o.send(f.term, { frame: f });
  }

  /** Either may have left while something was on its way. */
  #areMembers(from: number, to: number): boolean {
    return this.#volunteers.has(from) && this.#volunteers.has(to);
  }

  #tell(to: number, from: number, data: string): void {
    this.#o.send(to, { control: { type: "leaf-signal", from, to, data } });
  }
}

class Call implements GroupCall {
  readonly #self: GroupMember;
  readonly #tasks: Map<number, number>;
  readonly #nextRound: () => number;
  readonly #tell: (volunteer: number, control: ControlOf<"leaf-group">) => void;
  readonly #onSummed: () => void;
  readonly #onDissolved: () => void;
  #round = 0;
  #rounds = 0;
  #data: Float32Array | undefined;
  #resolve: (sum: GroupSum | undefined) => void = () => {};
  #isOver = false;

  constructor(o: {
    self: GroupMember;
    tasks: Map<number, number>;
    nextRound: () => number;
    tell: (volunteer: number, control: ControlOf<"leaf-group">) => void;
    onSummed: () => void;
    onDissolved: () => void;
  }) {
    this.#self = o.self;
    this.#tasks = o.tasks;
    this.#nextRound = o.nextRound;
    this.#tell = o.tell;
    this.#onSummed = o.onSummed;
    this.#onDissolved = o.onDissolved;
    this.#begin();
  }

  get volunteers(): readonly number[] {
    return [...this.#tasks.keys()];
  }

  sum(data: Float32Array): Promise<GroupSum | undefined> {
    if (this.#isOver) return Promise.resolve(undefined);
    this.#data = data.slice();
    return new Promise((resolve) => {
      this.#resolve = resolve;
      void this.#reduce(this.#data!);
    });
  }

  lose(volunteer: number): void {
    if (this.#isOver || !this.#tasks.has(volunteer)) return;
    this.#name(volunteer, []);
    this.#tasks.delete(volunteer);
    this.#again();
  }

  dissolve(): void {
    if (this.#isOver) return;
    for (const volunteer of this.volunteers) this.#name(volunteer, []);
    this.end();
    this.#onDissolved();
  }

  /** A member has lost messages of a round. If the reducer has the sum already, that is no loss. */
  repeat(round: number, member: number): void {
    if (round !== this.#round) return;
    if (!this.#isOver) this.#again();
    else if (this.#tasks.has(member)) this.#name(member, []);
  }

  /** Nobody waits for its sum any more. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#self.abandon();
    this.#resolve(undefined);
  }

  #again(): void {
    if (this.#tasks.size === 0) return this.end();
    if (this.#rounds >= LIMITS.groupRoundsMax) return this.dissolve();
    this.#begin();
    if (this.#data) void this.#reduce(this.#data);
  }

  #begin(): void {
    this.#rounds++;
    this.#round = this.#nextRound();
    const members = [0, ...this.#tasks.keys()];
    for (const volunteer of this.#tasks.keys()) this.#name(volunteer, members);
  }

  #name(volunteer: number, members: number[]): void {
    const task = this.#tasks.get(volunteer)!;
    this.#tell(volunteer, { type: "leaf-group", task, round: this.#round, members });
  }

  /** @param data what this reducer brings */
  async #reduce(data: Float32Array): Promise<void> {
    const [round, volunteers] = [this.#round, this.volunteers];
    const sum = await this.#self.sum({ round, members: [0, ...volunteers], data });
    // A round that was left has another one behind it, or none.
    if (sum === undefined || this.#isOver || round !== this.#round) return;
    // Whose values are not finite shows when all send theirs.
    if (!sum.every(Number.isFinite)) return this.dissolve();
    this.#isOver = true;
    this.#onSummed();
    this.#resolve({ sum, volunteers });
  }
}
