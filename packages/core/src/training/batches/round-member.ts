/**
 * A worker's part in rounds of dense weights: what the coordinator calls, members average by all-reduce; once all hold
 * the mean, the coordinator commits the round, and each applies it. A term that begins in between abandons what is
 * under way; the coordinator calls the round again, and nothing of a worker's change is lost.
 */
import type { DenseRoundsSpec } from "../../consistency/index.ts";
import { ProtocolError } from "../../errors.ts";
import { frame, type Control, type ControlOf, type Frame } from "../../wire/index.ts";
import { DenseRounds } from "../dense/dense-round.ts";
import type { LocalDense } from "./local-dense.ts";

export interface RoundMemberOptions {
  job: number;
  worker: number;
  dense: LocalDense;
  compression: DenseRoundsSpec["compression"];
  /** Sends a frame to a worker, as `DenseRoundsOptions.send` does. */
  sendFrame(worker: number, frame: Frame, onSent?: () => void): void;
  tell(control: Control): void;
}

export class RoundMember {
  readonly #o: RoundMemberOptions;
  readonly #rounds: DenseRounds;
  #term = 0;
  #members: readonly number[] = [];
  #held: { round: number; mean: Float32Array; residual: Float32Array | undefined } | undefined;
  /** What compression has lost of this worker's part, and adds to the next round's. */
  #residual: Float32Array | undefined;

  constructor(o: RoundMemberOptions) {
    const { job, dense, compression } = o;
    this.#o = o;
    if (compression !== "float32") this.#residual = new Float32Array(dense.weights.length);
    this.#rounds = new DenseRounds({
      job,
      send: (to, f, onSent) => o.sendFrame(to, f, onSent),
      awaits: ({ step, attempt }) => attempt >= this.#term && step > dense.round,
      reduced: ({ step: round }, mean, residual) => {
        this.#held = { round, mean, residual };
        o.tell({ type: "round-held", job, term: this.#term, round });
      },
    });
  }

  onTerm({ term, members }: ControlOf<"term">): void {
    if (term <= this.#term) return;
    this.#term = term;
    this.#members = members.map(({ worker }) => worker);
    this.#held = undefined;
    this.#rounds.abandon();
  }

  onCall({ term, round, shares }: ControlOf<"call-round">): void {
    if (term !== this.#term) return;
    const { worker, dense, compression } = this.#o;
    const rank = this.#members.indexOf(worker);
    const share = shares[rank];
    if (share === undefined || shares.length !== this.#members.length) {
      const members = `${this.#members.length} members, worker ${worker} ${rank < 0 ? "not " : ""}among them`;
      throw new ProtocolError(`round ${round} has ${shares.length} shares, but term ${term} has ${members}`);
    }
    this.#rounds.begin({
      step: round,
      attempt: term,
      rank,
      members: this.#members,
      data: dense.change({ round, share }),
      form: compression,
      ...(this.#residual ? { residual: this.#residual } : {}),
    });
  }

  onCommit({ term, round, newcomers }: ControlOf<"commit-round">): void {
    const { job, worker, dense } = this.#o;
    const held = this.#held;
    if (term !== this.#term || held?.round !== round) return;
    this.#held = undefined;
    if (held.residual) this.#residual = held.residual;
    dense.commit({ round, mean: held.mean });
    if (this.#members[0] !== worker) return;
    for (const newcomer of newcomers) {
      const state = frame({ opcode: "denseState", job, step: round, attempt: term, values: dense.snapshot() });
      this.#o.sendFrame(newcomer, state);
    }
  }

  onFrame(f: Frame): void {
    if (f.opcode === "reduce") this.#rounds.take(f);
    else if (f.opcode === "denseState") {
      const { job, dense } = this.#o;
      dense.restore({ round: f.step, snapshot: f.values.slice() });
      this.#o.tell({ type: "dense-ready", job, round: dense.round });
    } else throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a worker`);
  }
}
