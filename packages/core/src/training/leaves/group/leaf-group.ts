/**
 * A volunteer's part in its reducer's group: it brings the dense gradients of each task that a round is called for, and
 * keeps them until its next task, since a round that is broken is called again.
 *
 * What happens when a peer dies here: the reducer calls another round, or says that there is none; then the gradients go
 * to it as those of any other volunteer.
 */
import type { Clock, ControlOf, Frame, Link } from "../../../wire/index.ts";
import type { ChannelDialer } from "./channel.ts";
import { GroupMember } from "./group-member.ts";

export interface LeafGroupOptions {
  /** Its number. */
  volunteer: number;
  /** Without one its messages go by the leaf links: where the browser has no WebRTC. */
  dialer?: ChannelDialer | undefined;
  /** What went wrong with a data channel, for people; the round goes another way. */
  onFault?: ((error: unknown) => void) | undefined;
}

/** A task whose gradients are computed. */
interface Brought {
  readonly task: number;
  readonly data: Float32Array;
  readonly resolve: (isSummed: boolean) => void;
}

export class LeafGroup {
  readonly #member: GroupMember;
  #call: Pick<ControlOf<"leaf-group">, "task" | "round" | "members"> | undefined;
  #brought: Brought | undefined;
  #isClosed = false;

  constructor(o: LeafGroupOptions & { job: number; clock: Clock; link: Link }) {
    const { volunteer, dialer, onFault, job, clock, link } = o;
    this.#member = new GroupMember({
      job,
      member: volunteer,
      dialer,
      clock,
      onFault,
      send: (_, message) => ("control" in message ? link.sendControl(message.control) : link.sendFrame(message.frame)),
    });
    this.#member.signal(0, { kind: "join" });
  }

  /** Members that this volunteer reaches by a data channel. */
  get channels(): readonly number[] {
    return this.#member.channels;
  }

  /**
   * Brings a task's gradients, once they are computed.
   *
   * @param data float32, shape [n]: not to be touched any more
   * @returns whether they are in the sum of a round; otherwise they are to be sent to the reducer
   */
  bring(task: number, data: Float32Array): Promise<boolean> {
    return new Promise((resolve) => {
      this.#brought = { task, data, resolve };
      this.#takePart();
    });
  }

  /** A round is called; with no members, there is none for this task. */
  takeCall({ task, round, members }: ControlOf<"leaf-group">): void {
    this.#call = { task, round, members };
    this.#member.meet(members);
    if (this.#brought?.task === task) this.#takePart();
  }

  /** @throws {ProtocolError} one that makes no sense, or that is for the reducer alone */
  takeSignal(signal: ControlOf<"leaf-signal">): void {
    this.#member.takeSignal(signal);
  }

  /** @throws {ProtocolError} another frame than "reduce", or one for another member */
  takeFrame(f: Frame): void {
    this.#member.takeFrame(f);
  }

  close(): void {
    this.#isClosed = true;
    this.#member.close();
    this.#brought?.resolve(false);
  }

  /** In the newest round that was called for what is brought. A round that is left has another call behind it. */
  #takePart(): void {
    const [call, brought] = [this.#call, this.#brought!];
    if (this.#isClosed || call?.task !== brought.task || call.members.length === 0) {
      this.#member.abandon();
      brought.resolve(false);
      return;
    }
    const { round, members } = call;
    void this.#member.sum({ round, members, data: brought.data }).then((sum) => {
      // All have the same bits, so all send theirs where it is not finite, and it shows whose are not.
      if (sum) brought.resolve(sum.every(Number.isFinite));
    });
  }
}
