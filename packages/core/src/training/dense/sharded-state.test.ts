import { describe, expect, test } from "vitest";
import { ProtocolError } from "../../errors.ts";
import type { ClipSpec } from "../../job/index.ts";
import {
  adagrad,
  adam,
  adamw,
  cosineDecay,
  ftrl,
  momentum,
  rowwiseAdagrad,
  sgd,
  type OptimizerSpec,
} from "../../optimizer/index.ts";
import { DenseState } from "./dense-state.ts";
import { ShardedState, refuseUnshardable } from "./sharded-state.ts";
import type { RangeOf } from "./state-moves.ts";

/** More than two blocks a worker, and no multiple of anything. */
const FLOATS = 1201;
const WORKERS = [1, 2, 3, 4];

const rangeOf: RangeOf = ({ rank, size }) => ({
  from: Math.floor((FLOATS * rank) / size),
  to: Math.floor((FLOATS * (rank + 1)) / size),
});
const weights = Float32Array.from({ length: FLOATS }, (_, i) => Math.sin(i));
/** The summed gradients of a step. */
const gradsOf = (step: number) => Float32Array.from({ length: FLOATS }, (_, i) => Math.cos(i * step + 1));

interface Compile {
  optimizer: OptimizerSpec;
  clip?: ClipSpec;
}

function sharded(compile: Compile): ShardedState {
  return new ShardedState({ weights, manifest: { compile }, rangeOf });
}

function replicated(compile: Compile): DenseState {
  const variables = [{ name: "w", shape: [FLOATS], trainable: true }];
  return new DenseState({ weights, manifest: { compile, model: { variables } } });
}

/** Workers and their states, and who took part in the last step. */
class Group {
  readonly states = new Map<number, ShardedState>();
  owners: readonly number[] = [];
  readonly lost: number[] = [];
  readonly #compile: Compile;

  constructor(compile: Compile) {
    this.#compile = compile;
  }

  /** One that joins has the weights of one that is there. */
  join(worker: number): void {
    const state = sharded(this.#compile);
    const other = [...this.states.values()][0];
    if (other) state.restore(other.snapshot());
    this.states.set(worker, state);
  }

  /** Hands state over as the members of a step need it, and says what all of them gather. */
  propose({ members, step }: { members: readonly number[]; step: number }): Float32Array {
    const arranged = members.map((worker) => {
      const state = this.states.get(worker)!;
      return state.arrange({ owners: this.owners, members, worker });
    });
    for (const { send, lost } of arranged) {
      for (const { worker, from, state } of send) this.states.get(worker)!.take({ from, state });
      for (const { from, to } of lost) this.lost.push(to - from);
    }
    const gathered = gradsOf(step);
    for (const [rank, worker] of members.entries()) {
      const state = this.states.get(worker)!;
      expect(state.isWhole).toBe(true);
      state.propose({ data: gathered, ...rangeOf({ rank, size: members.length }), step });
    }
    return gathered;
  }

  step(at: { members: readonly number[]; step: number }): void {
    const gathered = this.propose(at);
    for (const worker of at.members) this.states.get(worker)!.apply({ gathered, step: at.step });
    this.owners = at.members;
  }

  /** That all have. */
  get weights(): Float32Array {
    const [first, ...others] = this.owners.map((worker) => this.states.get(worker)!.weights);
    for (const other of others) expect(other).toEqual(first);
    return first!;
  }
}

function group(compile: Compile): Group {
  const states = new Group(compile);
  for (const worker of WORKERS) states.join(worker);
  return states;
}

/** What one worker with all of the state makes of the same steps. */
function serial(compile: Compile, steps: number): Float32Array {
  const state = replicated(compile);
  for (let step = 1; step <= steps; step++) state.update({ grads: gradsOf(step), step });
  return state.weights;
}

const ADAM = { optimizer: adam({ learningRate: 0.01 }) };

describe("ShardedState", () => {
  test.each<OptimizerSpec>([
    sgd({ learningRate: 0.1 }),
    momentum({ learningRate: 0.1, nesterov: true }),
    adagrad({ learningRate: 0.1 }),
    adam({ learningRate: cosineDecay({ initialLearningRate: 0.1, decaySteps: 5 }) }),
    adamw({ learningRate: 0.1 }),
    ftrl({ learningRate: 0.1 }),
  ])("learns as one worker with all of the state does, bit for bit, by $kind", (optimizer) => {
    for (const compile of [{ optimizer }, { optimizer, clip: { value: 0.5 } }]) {
      const states = group(compile);
      for (let step = 1; step <= 4; step++) states.step({ members: WORKERS, step });
      expect(states.weights).toEqual(serial(compile, 4));
    }
  });

  test("takes the memory of its part", () => {
    const states = group(ADAM);
    states.step({ members: WORKERS, step: 1 });
    const all = replicated(ADAM).stateBytes;
    expect(all).toBe(4 * 2 * FLOATS);
    for (const state of states.states.values()) expect(state.stateBytes / all).toBeLessThan(0.43);
    const parts = [...states.states.values()].map(({ stateBytes }) => stateBytes - 4 * 3 * 128);
    expect(parts.reduce((a, b) => a + b, 0)).toBe(all);
  });

  test("what is proposed changes nothing, and may be proposed again", () => {
    const states = group(ADAM);
    states.step({ members: WORKERS, step: 1 });
    const before = states.weights.slice();
    states.propose({ members: WORKERS, step: 2 });
    states.propose({ members: WORKERS, step: 2 });
    expect(states.weights).toEqual(before);
    states.step({ members: WORKERS, step: 2 });
    expect(states.weights).toEqual(serial(ADAM, 2));
  });

  test("is handed over to members that join, and those that stay", () => {
    const states = group(ADAM);
    states.step({ members: [1, 2], step: 1 });
    for (const worker of [3, 4]) states.join(worker);
    states.step({ members: [1, 2, 3], step: 2 });
    states.step({ members: [1, 2, 3], step: 3 });
    states.join(4);
    states.step({ members: WORKERS, step: 4 });
    expect(states.weights).toEqual(serial(ADAM, 4));
    expect(states.lost).toEqual([]);
  });

  test("is what it was when the members change again before a step is committed", () => {
    const states = group(ADAM);
    states.step({ members: [1, 2, 3], step: 1 });
    states.join(4);
    states.propose({ members: [1, 2, 3, 4], step: 2 });
    states.propose({ members: [3, 1, 2], step: 2 });
    states.step({ members: [1, 2, 3], step: 2 });
    expect(states.weights).toEqual(serial(ADAM, 2));
  });

  test("begins anew where the worker that had it is lost, and goes on elsewhere", () => {
    const states = group(ADAM);
    for (let step = 1; step <= 3; step++) states.step({ members: WORKERS, step });
    const { weights: before } = states;
    const kept = before.slice();
    states.states.delete(2);
    states.step({ members: [1, 3, 4], step: 4 });
    const { from, to } = rangeOf({ rank: 1, size: 4 });
    expect(states.lost.reduce((a, b) => a + b, 0)).toBe(to - from);
    const expected = serial(ADAM, 4);
    const anew = replicated(ADAM);
    anew.restore(Float32Array.from({ length: 3 * FLOATS }, (_, i) => kept[i] ?? 0));
    anew.update({ grads: gradsOf(4), step: 4 });
    expected.set(anew.weights.subarray(from, to), from);
    expect(states.weights).toEqual(expected);
  });

  test("takes no piece that is none to come", () => {
    const state = sharded(ADAM);
    expect(() => state.take({ from: 0, state: new Float32Array(2) })).toThrow(ProtocolError);
    state.arrange({ owners: [], members: WORKERS, worker: 1 });
    expect(() => state.take({ from: 0, state: new Float32Array(2) })).toThrow("none that were to come");
  });

  test("refuses what needs the gradients of other weights", () => {
    const optimizer = adam();
    expect(() => refuseUnshardable({ optimizer: rowwiseAdagrad() })).toThrow(/rowwise-adagrad.*use adam\(\)/);
    expect(() => refuseUnshardable({ optimizer, clip: { norm: 1 } })).toThrow(/compile\.clip\.norm.*use clip\.value/);
    expect(() => refuseUnshardable({ optimizer, clip: { globalNorm: 1 } })).toThrow(/compile\.clip\.globalNorm/);
    expect(() => refuseUnshardable({ optimizer, clip: { value: 1 } })).not.toThrow();
  });
});
