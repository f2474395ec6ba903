/**
 * The all-reduce of one step's dense gradients, over the frames of the peers' links. Rounds are named by (step,
 * attempt): frames of abandoned attempts are left aside, those of a step not reached yet wait, within a bound.
 */
import { RingAllReduce, type RingPiece } from "../collective/index.ts";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { frame, type Frame } from "../wire/index.ts";
import type { Attempt } from "./step-events.ts";

interface Round extends Attempt {
  ring: RingAllReduce;
  data: Float32Array;
  rank: number;
  /** The worker after this one in the ring. */
  next: number;
}

export interface DenseRoundsOptions {
  job: number;
  /** Sends a frame to a worker. */
  send(worker: number, frame: Frame): void;
  /** The round's sum is whole: float32, as long as what went in; owned by the callee. */
  reduced(at: Attempt, sum: Float32Array): void;
  /** May frames of this step and attempt still be wanted? */
  awaits(at: Attempt): boolean;
}

export class DenseRounds {
  readonly #o: DenseRoundsOptions;
  #round: Round | undefined;
  #early: Frame[] = [];

  constructor(o: DenseRoundsOptions) {
    this.#o = o;
  }

  /** Begins a round. @param data float32; summed in place, owned by the round until it is reduced */
  begin({
    step,
    attempt,
    rank,
    members,
    data,
  }: Attempt & { rank: number; members: readonly number[]; data: Float32Array }): void {
    const size = members.length;
    const ring = new RingAllReduce({ rank, size, data });
    const round = { step, attempt, ring, data, rank, next: members[(rank + 1) % size]! };
    this.#round = round;
    this.#send(round, ring.start());
    const early = this.#early;
    this.#early = [];
    for (const f of early) this.take(f);
    this.#finish();
  }

  /** A frame of the worker before this one. */
  take(f: Frame): void {
    const round = this.#round;
    if (round?.step === f.step && round.attempt === f.attempt) {
      this.#send(round, round.ring.receive({ hop: f.cursor, chunk: f.table, part: f.requestId, values: f.values }));
      this.#finish();
    } else if (this.#o.awaits(f)) {
      if (this.#early.length >= LIMITS.earlyFramesMax) {
        throw new ProtocolError(
          `over ${LIMITS.earlyFramesMax} all-reduce frames came for steps this worker has not reached`,
        );
      }
      this.#early.push(f);
    }
  }

  /** Leaves the round under way; frames that came early and may still be wanted stay. */
  abandon(): void {
    this.#round = undefined;
    this.#early = this.#early.filter((f) => this.#o.awaits(f));
  }

  #send({ step, attempt, rank, next }: Round, pieces: RingPiece[]): void {
    const { job } = this.#o;
    for (const { hop, chunk, part, values } of pieces) {
      this.#o.send(
        next,
        frame({
          opcode: "reduce",
          job,
          step,
          attempt,
          term: attempt,
          slot: rank,
          cursor: hop,
          table: chunk,
          requestId: part,
          values,
        }),
      );
    }
  }

  #finish(): void {
    const round = this.#round;
    if (!round?.ring.done) return;
    this.#round = undefined;
    this.#o.reduced({ step: round.step, attempt: round.attempt }, round.data);
  }
}
