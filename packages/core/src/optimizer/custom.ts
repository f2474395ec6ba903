/**
 * Server updates of the operator's own: what a push does to a row, written in a plugin file that each PS node loads
 * with `volary ps --plugin FILE`. Only its name, its numbers and the file's hash travel (ARCHITECTURE.md, "Plugins").
 *
 * An update works on copies of one row: it can spoil no other, whatever it does. The copies cost two moves of `dim`
 * floats each; the built-in optimizers, which are trusted, work in place.
 */
import { ClusterError } from "../errors.ts";
import type { SpecOf } from "./optimizer-check.ts";
import type { Optimizer } from "./optimizer.ts";

/** One row and what was pushed for it. The arrays are the same ones at each call: keep none of them. */
export interface RowUpdate<Option extends string = string> {
  /** The row's weights, to be changed in place. Shape [dim]. */
  readonly weights: Float32Array;
  /** The row's own state, to be changed in place. Shape [stateWidth(dim)]. */
  readonly state: Float32Array;
  /** What was pushed, summed over the slots of a step or the repeats of a key. Shape [dim]. */
  readonly gradient: Float32Array;
  /** How many updates the row has had, counting this one. */
  readonly updates: number;
  readonly options: Readonly<Record<Option, number>>;
}

/** Arguments of {@link serverUpdate}. */
export interface ServerUpdateArgs<Option extends string> {
  /** What tables name it by, unique in its file. */
  name: string;
  /** Every option with its default; none unless said otherwise. */
  options?: Readonly<Record<Option, number>>;
  /** Floats of state that a row of `dim` weights carries; none unless said otherwise. */
  stateWidth?: (dim: number) => number;
  /** Writes the state of a row that was never updated; zeros unless said otherwise. */
  initState?: (row: Pick<RowUpdate<Option>, "weights" | "state" | "options">) => void;
  /** Applies one push to one row. A pure function of what it is given: replicas must agree on its bits. */
  update: (row: RowUpdate<Option>) => void;
}

/** What {@link serverUpdate} makes: an update of rows of one's own, named by a table and loaded by each PS node. */
export interface ServerUpdate {
  readonly kind: "serverUpdate";
  readonly name: string;
  readonly options: Readonly<Record<string, number>>;
  readonly stateWidth: (dim: number) => number;
  readonly initState: (row: Pick<RowUpdate, "weights" | "state" | "options">) => void;
  readonly update: (row: RowUpdate) => void;
}

/**
 * Makes a server update; export it from a plugin file. Import it from `@volary/core/optimizer` there: `@volary/core`
 * has it too, and with it TensorFlow.js, which a PS node has no use for.
 *
 * @throws {TypeError} no name, no function, or an option that is no number
 * @example
 * export const clippedSgd = serverUpdate({
 *   name: "clippedSgd",
 *   options: { learningRate: 0.1, limit: 1 },
 *   update({ weights, gradient, options: { learningRate, limit } }) {
 *     for (let i = 0; i < weights.length; i++)
 *       weights[i]! -= learningRate * Math.max(-limit, Math.min(limit, gradient[i]!));
 *   },
 * });
 */
export function serverUpdate<Option extends string = never>(args: ServerUpdateArgs<Option>): ServerUpdate {
  const { name, update, stateWidth = () => 0, initState = () => {} } = args;
  if (typeof name !== "string" || name === "")
    throw new TypeError(`serverUpdate(): name is ${JSON.stringify(name)}; give it the name that tables use`);
  if (typeof update !== "function")
    throw new TypeError(`serverUpdate("${name}"): update is no function; write update({ weights, gradient }) { … }`);
  const options: Readonly<Record<string, number>> = args.options ?? {};
  for (const [option, value] of Object.entries(options)) checkOption(name, option, value);
  return Object.freeze({
    kind: "serverUpdate",
    name,
    options: Object.freeze({ ...options }),
    stateWidth,
    initState,
    update,
  });
}

/**
 * The optimizer that a loaded update is, with the options of a spec over its own.
 *
 * @throws {RangeError} an option the update does not have, or a state that has no width
 */
export function customOptimizer(update: ServerUpdate, spec: Pick<SpecOf<"custom">, "options">): Optimizer {
  for (const option of Object.keys(spec.options)) {
    if (!Object.hasOwn(update.options, option)) {
      const known = Object.keys(update.options).join(", ") || "none";
      throw new RangeError(`server update "${update.name}" has no option "${option}"; its options are ${known}`);
    }
  }
  const options = Object.freeze({ ...update.options, ...spec.options });
  const copies = new Map<number, RowCopies>();
  const stateWidth = (dim: number): number => {
    const width = update.stateWidth(dim);
    if (Number.isInteger(width) && width >= 0) return width;
    throw new RangeError(`server update "${update.name}": stateWidth(${dim}) is ${width}; it must be 0 or more floats`);
  };
  const copiesOf = (dim: number): RowCopies => {
    let found = copies.get(dim);
    if (!found) copies.set(dim, (found = newCopies(dim, stateWidth(dim), options)));
    return found;
  };
  return {
    stateWidth,
    initState(rows, at, dim) {
      const row = copiesOf(dim);
      copy(row.weights, 0, rows, at, dim);
      row.state.fill(0);
      try {
        update.initState(row);
      } catch (cause) {
        throw failed(update.name, cause);
      }
      copy(rows, at + dim, row.state, 0, row.state.length);
    },
    update(rows, at, dim, grads, gradAt, updates) {
      const row = copiesOf(dim);
      const width = row.state.length;
      copy(row.weights, 0, rows, at, dim);
      copy(row.state, 0, rows, at + dim, width);
      copy(row.gradient, 0, grads, gradAt, dim);
      row.updates = updates;
      try {
        update.update(row);
      } catch (cause) {
        throw failed(update.name, cause);
      }
      copy(rows, at, row.weights, 0, dim);
      copy(rows, at + dim, row.state, 0, width);
    },
  };
}

interface RowCopies extends RowUpdate {
  updates: number;
}

function newCopies(dim: number, width: number, options: Readonly<Record<string, number>>): RowCopies {
  const [weights, gradient, state] = [new Float32Array(dim), new Float32Array(dim), new Float32Array(width)];
  return { weights, gradient, state, updates: 0, options };
}

function copy(to: Float32Array, toAt: number, from: Float32Array, fromAt: number, n: number): void {
  for (let i = 0; i < n; i++) to[toAt + i] = from[fromAt + i]!;
}

/** The operator's code failed; the node goes on. */
function failed(name: string, cause: unknown): ClusterError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new ClusterError("BAD_UPDATE", `server update "${name}" failed: ${message}; correct its plugin file`, {
    cause,
  });
}

function checkOption(name: string, option: string, value: unknown): void {
  if (typeof value === "number" && Number.isFinite(value)) return;
  throw new TypeError(`server update "${name}": option ${option} is ${String(value)}; options are finite numbers`);
}
