/**
 * The all-reduce of one step's dense gradients, or of what another round sums, over the frames of the peers' links.
 * Rounds are named by (step, attempt): frames of abandoned attempts are left aside, those of a round that has not
 * begun here wait, within bounds.
 *
 * An abandoned round changes nothing but the data that it was given: its residual goes with it.
 */
import { allReduce, type AllReduce, type OwnDone, type ReduceForm, type ReducePiece } from "../../collective/index.ts";
import { assert, ProtocolError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import { bytesOfFrame, copyOfFrame, frame, type Frame } from "../../wire/index.ts";
import type { Attempt } from "../job/attempt.ts";

export interface DenseRound extends Attempt {
  /** This worker's place among `members`. */
  rank: number;
  members: readonly number[];
  /** float32, shape [n], as long for every member: summed in place, owned by the round until it is reduced. */
  data: Float32Array;
  /** float32 by default. All members give the same, as well as the same `exact`. */
  form?: ReduceForm | undefined;
  /** So many of the last floats, such as a loss, travel as float32 and are no business of `ownDone`; 0 by default. */
  exact?: number | undefined;
  /**
   * What earlier rounds lost, float32, shape [n − exact]: not changed. The next one is handed over with the sum. What
   * the form loses is dropped without it.
   */
  residual?: Float32Array | undefined;
  /**
   * Called once, when the sums of `RingAllReduce.ownRange({rank, size, length: n − exact})` are whole: replaces them by
   * what all members shall have there instead. All members give one, or none does.
   */
  ownDone?: OwnDone | undefined;
}

interface Round extends Attempt {
  /** Of all floats but the exact ones; then, where there are any that need it, of those. */
  lanes: readonly AllReduce[];
  data: Float32Array;
  rank: number;
  members: readonly number[];
  /** Lent frames that have not been sent: the data are not the callee's before they have. */
  unsent: number;
}

export interface DenseRoundsOptions {
  job: number;
  /**
   * Sends a frame to a worker. Its values are views that change after the call; those of a lent frame after `onSent`,
   * which must be called once, and which the round waits for before it is reduced.
   */
  send(worker: number, frame: Frame, onSent?: () => void): void;
  /**
   * The round's sum is whole: float32, as long as what went in; owned by the callee, as is the new residual, which is
   * there where one was given.
   */
  reduced(at: Attempt, sum: Float32Array, residual: Float32Array | undefined): void;
  /** May frames of this step and attempt still be wanted? */
  awaits(at: Attempt): boolean;
}

export class DenseRounds {
  readonly #o: DenseRoundsOptions;
  #round: Round | undefined;
  #early: Frame[] = [];
  #earlyBytes = 0;

  constructor(o: DenseRoundsOptions) {
    this.#o = o;
  }

  begin({ step, attempt, rank, members, data, form, exact = 0, residual, ownDone }: DenseRound): void {
    const n = data.length - exact;
    assert(n >= 0, `${exact} exact floats of ${data.length}`);
    assert(residual === undefined || residual.length === n, `a residual of ${residual?.length} floats for ${n}`);
    const size = members.length;
    const main = allReduce({ rank, size, data: data.subarray(0, n), form, residual, ownDone });
    const lanes = exact === 0 ? [main] : [main, allReduce({ rank, size, data: data.subarray(n) })];
    const round: Round = { step, attempt, lanes, data, rank, members, unsent: 0 };
    this.#round = round;
    for (const [lane, reduction] of lanes.entries()) this.#send(round, lane, reduction.start());
    for (const f of this.#takeEarly()) this.take(f);
    this.#finish();
  }

  /** A frame of another member. */
  take(f: Frame): void {
    const round = this.#round;
    if (round?.step === f.step && round.attempt === f.attempt) {
      this.#send(round, f.slots, this.#laneOf(round, f).receive(pieceOf(f)));
      this.#finish();
    } else if (this.#o.awaits(f)) {
      const bytes = bytesOfFrame(f);
      if (this.#early.length >= LIMITS.earlyFramesMax || this.#earlyBytes + bytes > LIMITS.earlyReduceBytesMax) {
        throw new ProtocolError(
          `over ${LIMITS.earlyFramesMax} all-reduce frames, or ${LIMITS.earlyReduceBytesMax} bytes of them, ` +
            "came for steps this worker has not reached",
        );
      }
      this.#early.push(copyOfFrame(f));
      this.#earlyBytes += bytes;
    }
  }

  /** Leaves the round under way; frames that came early and may still be wanted stay. */
  abandon(): void {
    this.#round = undefined;
    for (const f of this.#takeEarly()) this.take(f);
  }

  #takeEarly(): Frame[] {
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    return early;
  }

  #laneOf({ lanes }: Round, { slots, slot }: Frame): AllReduce {
    const lane = lanes[slots];
    if (lane) return lane;
    throw new ProtocolError(`an all-reduce frame of rank ${slot} is of lane ${slots}; this round has ${lanes.length}`);
  }

  #send(round: Round, lane: number, pieces: readonly ReducePiece[]): void {
    const { job } = this.#o;
    const { step, attempt, rank, members } = round;
    const onSent = () => {
      round.unsent--;
      if (this.#round === round) this.#finish();
    };
    round.unsent++; // until all are on their way, whatever is sent at once
    for (const { peer, hop, chunk, part, dtype, values, coded, lasts: lent = false } of pieces) {
      if (lent) round.unsent++;
      this.#o.send(
        members[peer]!,
        frame({
          opcode: "reduce",
          job,
          step,
          attempt,
          term: attempt,
          slot: rank,
          slots: lane,
          cursor: hop,
          table: chunk,
          requestId: part,
          dtype,
          values,
          coded,
          lent,
        }),
        lent ? onSent : undefined,
      );
    }
    round.unsent--;
  }

  #finish(): void {
    const round = this.#round;
    if (!round || round.unsent > 0 || !round.lanes.every((lane) => lane.done)) return;
    this.#round = undefined;
    this.#o.reduced({ step: round.step, attempt: round.attempt }, round.data, round.lanes[0]!.residual);
  }
}

function pieceOf({ slot, cursor, table, requestId, dtype, values, coded }: Frame): ReducePiece {
  return { peer: slot, hop: cursor, chunk: table, part: requestId, dtype, values, coded };
}
