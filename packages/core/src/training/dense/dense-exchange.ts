/**
 * How a step's dense gradients and its loss come together on one worker: by all-reduce, in the form that the job says.
 * What a form loses is added to this worker's next gradients, if the job wants that, once the step is committed: an
 * attempt that is given up changes nothing. The loss goes along as one more element, which loses nothing.
 *
 * Where the optimizer's state is sharded, its parts are handed over first if the members are others than before, and
 * the round gathers new weights instead of sums (`sharded-state.ts`).
 */
import { RingAllReduce } from "../../collective/index.ts";
import { ProtocolError } from "../../errors.ts";
import type { WireForm, WireSpec } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { copyOfFrame, frame, type Frame } from "../../wire/index.ts";
import { DenseRounds } from "./dense-round.ts";
import type { ShardedState } from "./sharded-state.ts";
import type { RangeOf } from "./state-moves.ts";
import type { Attempt } from "../job/attempt.ts";

/** What all members of an attempt have in the end, with the same bits. */
export interface DenseResult {
  /** float32: the summed gradients, or, where the optimizer's state is sharded, the new weights; others may follow. */
  values: Float32Array;
  /** Summed over the samples of the step. */
  loss: number;
}

export interface DenseExchangeOptions {
  job: number;
  worker: number;
  wire: WireSpec | undefined;
  /** Sends a frame to a worker, as `DenseRoundsOptions.send` does. */
  send(worker: number, frame: Frame, onSent?: () => void): void;
  /** May frames of this step and attempt still be wanted? */
  awaits(at: Attempt): boolean;
  /** The result of an attempt is here, and kept until it is taken or dropped. */
  held(at: Attempt, result: DenseResult): void;
  /** State of the optimizer is lost: a line for the log. */
  log(line: string): void;
}

/** Sum the dense gradients of `members`, of whom this worker is the one of rank `rank`. */
export interface DenseSum extends Attempt {
  rank: number;
  members: readonly number[];
  /** Where the optimizer's state is sharded: the ranks that its parts, of before the step, are split by. */
  owners: readonly number[];
}

interface Exchange extends DenseSum {
  /** float32: gradients, and the loss as one more element. */
  data: Float32Array;
  shard: ShardedState | undefined;
}

/** An exchange under way. */
interface Running extends Exchange {
  /** Has its round begun? Before that parts of the optimizer's state come. */
  isReducing: boolean;
}

interface Held extends DenseResult {
  residual: Float32Array | undefined;
}

export class DenseExchange {
  readonly #o: DenseExchangeOptions;
  readonly #form: WireForm;
  /** Is what the form loses kept? */
  readonly #feedsBack: boolean;
  readonly #rounds: DenseRounds;
  /** What forms have lost of this worker's gradients up to the last committed step. */
  #residual: Float32Array | undefined;
  #running: Running | undefined;
  #held: Held | undefined;
  #earlyShares: Frame[] = [];

  constructor(o: DenseExchangeOptions) {
    this.#o = o;
    this.#form = o.wire?.dense ?? "float32";
    this.#feedsBack = typeof this.#form === "object" || (this.#form !== "float32" && o.wire?.errorFeedback === true);
    this.#rounds = new DenseRounds({
      job: o.job,
      send: (worker, f, onSent) => o.send(worker, f, onSent),
      awaits: (at) => o.awaits(at),
      reduced: (at, values, residual) => {
        this.#running = undefined;
        this.#held = { values, loss: values.at(-1)!, residual };
        o.held(at, this.#held);
      },
    });
  }

  /**
   * Begins the exchange of an attempt.
   *
   * @param exchange.data owned by the exchange from now on
   * @param exchange.shard whose state is sharded, with the weights that the step before left
   */
  begin(exchange: Exchange): void {
    this.#running = { ...exchange, isReducing: false };
    this.#held = undefined;
    if (exchange.shard) this.#arrange(exchange, exchange.shard);
    this.#reduceWhenWhole();
  }

  /** A frame of another member. @throws {ProtocolError} there are too many for steps that this worker has not reached */
  take(f: Frame): void {
    if (f.opcode === "stateShare") this.#takeShare(f);
    else this.#rounds.take(f);
  }

  /** Leaves the attempt under way; what is held stays. */
  abandon(): void {
    this.#running = undefined;
    this.#rounds.abandon();
    this.#earlyShares = this.#earlyShares.filter((f) => this.#o.awaits(f));
  }

  /** Leaves the attempt under way, and forgets what is held: it will not be committed. */
  drop(): void {
    this.abandon();
    this.#held = undefined;
  }

  /** What is held, which is committed. */
  commit(): DenseResult {
    const held = this.#held!;
    this.#held = undefined;
    this.#residual = held.residual ?? this.#residual;
    return held;
  }

  #arrange({ step, attempt, rank, members, owners }: Exchange, shard: ShardedState): void {
    const { job, worker } = this.#o;
    const { send, lost } = shard.arrange({ owners, members, worker });
    for (const { from, to } of lost) {
      this.#o.log(
        `job ${job}: the dense optimizer's state of the weights ${from} … ${to - 1} is lost with the worker that had ` +
          `it, and begins anew at step ${step}`,
      );
    }
    for (const { worker: heir, from, state } of send) {
      const at = { step, attempt, term: attempt, slot: rank, cursor: from };
      this.#o.send(heir, frame({ opcode: "stateShare", job, ...at, values: state }));
    }
    const early = this.#earlyShares;
    this.#earlyShares = [];
    for (const f of early) this.#keepShare(f);
  }

  #takeShare(f: Frame): void {
    this.#keepShare(f);
    this.#reduceWhenWhole();
  }

  #keepShare(f: Frame): void {
    const running = this.#running;
    if (running?.step === f.step && running.attempt === f.attempt) {
      if (!running.shard)
        throw new ProtocolError("state of the dense optimizer came to a worker whose job does not shard it");
      running.shard.take({ from: f.cursor, state: f.values });
    } else if (this.#o.awaits(f)) {
      if (this.#earlyShares.length >= LIMITS.earlyFramesMax) {
        throw new ProtocolError(
          `over ${LIMITS.earlyFramesMax} frames of state came for steps this worker has not reached`,
        );
      }
      this.#earlyShares.push(copyOfFrame(f));
    }
  }

  #reduceWhenWhole(): void {
    const running = this.#running;
    if (!running || running.isReducing || running.shard?.isWhole === false) return;
    running.isReducing = true;
    const { step, attempt, rank, members, data, shard } = running;
    const form = this.#form;
    const floats = data.length - 1;
    const residual = this.#feedsBack ? (this.#residual ?? new Float32Array(floats)) : undefined;
    const isExact = form === "float32" && shard === undefined;
    this.#rounds.begin({
      step,
      attempt,
      rank,
      members,
      data,
      form,
      exact: isExact ? 0 : 1,
      residual,
      ownDone: shard && ((sums, from, to) => shard.propose({ data: sums, from, to, step })),
    });
  }
}

/** Which sums of `floats` gradients a rank has in a round before all have them, where it updates those. */
export function sumsOf(floats: number): RangeOf {
  return ({ rank, size }) => RingAllReduce.ownRange({ rank, size, length: floats });
}
