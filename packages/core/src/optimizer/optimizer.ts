/**
 * What an optimizer does to one row. One implementation serves dense weights on workers and rows on the PS.
 *
 * A row is `[weights: dim | state: stateWidth(dim)]`, float32, at some offset of a larger array. Every operation
 * rounds to float32, as TensorFlow.js and SIMD kernels do: another implementation of the same formula gives the
 * same bits, so replicas may mix them. (Cost of the rounding in V8: Adam, dim 16, 190 ns a row instead of 100;
 * Node 24, 2 vCPU x86-64, November 2026.)
 */
import { adagradOptimizer } from "./adagrad.ts";
import { adamOptimizer } from "./adam.ts";
import { ftrlOptimizer } from "./ftrl.ts";
import { momentumOptimizer } from "./momentum.ts";
import { customOptimizer, type ServerUpdate } from "./custom.ts";
import { checkOptimizerSpec, type SpecOf } from "./optimizer-check.ts";
import type { OptimizerSpec } from "./optimizer-spec.ts";
import { plainUpdateOf } from "./plain-updates.ts";
import { rowwiseAdagradOptimizer } from "./rowwise-adagrad.ts";
import { sgdOptimizer } from "./sgd.ts";

export interface Optimizer {
  /** Floats of state that a row of `dim` weights carries behind them. */
  stateWidth(dim: number): number;

  /** Writes the state of a row that was never updated; its weights are in place already. */
  initState(rows: Float32Array, at: number, dim: number): void;

  /**
   * Applies one gradient to one row, in place and without allocating.
   *
   * @param rows holds the row at `at`
   * @param grads holds `dim` floats at `gradAt`; not changed
   * @param updates how many updates the row has had, counting this one: 1 at the first
   * @param learningRate of the step, float32: see `learningRateAt` of schedule.ts
   */
  update(
    rows: Float32Array,
    at: number,
    dim: number,
    grads: Float32Array,
    gradAt: number,
    updates: number,
    learningRate: number,
  ): void;
}

/** The partitions of a job pass the same spec objects, so they share the optimizers and Adam's tables. */
const opened = new WeakMap<OptimizerSpec, Optimizer>();

/**
 * The optimizer a spec describes. It keeps no state between calls: all state is in the rows.
 *
 * @throws {RangeError} naming the value, its limit and a usual value
 */
export function optimizerOf(spec: OptimizerSpec): Optimizer {
  let optimizer = opened.get(spec);
  if (!optimizer) {
    checkOptimizerSpec(spec);
    optimizer = open(spec);
    opened.set(spec, optimizer);
  }
  return optimizer;
}

/**
 * Says which loaded update a spec means; from then on `optimizerOf(spec)` gives it, for this very object.
 *
 * @throws {RangeError} an option the update does not have
 */
export function loadServerUpdate(spec: SpecOf<"custom">, update: ServerUpdate): void {
  opened.set(spec, customOptimizer(update, spec));
}

/** Does it update each weight of a row apart from the others? Then parts of a row may be updated by themselves. */
export function isElementwise({ kind }: OptimizerSpec): boolean {
  return kind !== "rowwise-adagrad" && kind !== "custom";
}

function open(spec: OptimizerSpec): Optimizer {
  switch (spec.kind) {
    case "none":
      return NONE;
    case "sgd":
      return sgdOptimizer();
    case "momentum":
      return momentumOptimizer(spec);
    case "adagrad":
      return adagradOptimizer(spec);
    case "rowwise-adagrad":
      return rowwiseAdagradOptimizer(spec);
    case "adam":
    case "adamw":
      return adamOptimizer(spec);
    case "ftrl":
      return ftrlOptimizer(spec);
    case "sum":
    case "count":
    case "max":
    case "set":
      return plainUpdateOf(spec.kind);
    case "custom":
      throw new RangeError(`server update "${spec.update}" is not loaded here: start the node with --plugin FILE`);
    default:
      return spec satisfies never;
  }
}

const NONE: Optimizer = {
  stateWidth: () => 0,
  initState: () => {},
  update: () => {},
};
