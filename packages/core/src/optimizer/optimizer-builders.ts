/**
 * What an author writes: `adagrad({ learningRate: 0.05 })`, or a name as in tfjs `compile`. Each gives a spec, as
 * data, with every number written out; learning rates are those of tfjs `compile`, FTRL's is Google's usual one.
 */
import { checkOptimizerSpec, type SpecOf } from "./optimizer-check.ts";
import type { OptimizerKind, OptimizerSpec } from "./optimizer-spec.ts";

type Options<Kind extends OptimizerKind> = Partial<Omit<SpecOf<Kind>, "kind">>;

/** Stochastic gradient descent. */
export function sgd(options: Options<"sgd"> = {}): OptimizerSpec {
  return build({ kind: "sgd", learningRate: 0.01 }, options);
}

/** Gradient descent with momentum, or Nesterov's form of it. */
export function momentum(options: Options<"momentum"> = {}): OptimizerSpec {
  return build({ kind: "momentum", learningRate: 0.01, momentum: 0.9, nesterov: false }, options);
}

/** Adagrad: one accumulator per weight. */
export function adagrad(options: Options<"adagrad"> = {}): OptimizerSpec {
  return build({ kind: "adagrad", learningRate: 0.01, initialAccumulator: 0.1, epsilon: 1e-7 }, options);
}

/** Row-wise Adagrad: one accumulator per row, the usual choice for large tables. */
export function rowwiseAdagrad(options: Options<"rowwise-adagrad"> = {}): OptimizerSpec {
  return build({ kind: "rowwise-adagrad", learningRate: 0.01, initialAccumulator: 0, epsilon: 1e-8 }, options);
}

/** Adam; on a table, corrected for bias by each row's own number of updates. */
export function adam(options: Options<"adam"> = {}): OptimizerSpec {
  return build({ kind: "adam", learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 }, options);
}

/** FTRL-proximal: `l1` makes weights exactly 0. */
export function ftrl(options: Options<"ftrl"> = {}): OptimizerSpec {
  return build({ kind: "ftrl", learningRate: 0.05, beta: 1, l1: 0, l2: 0 }, options);
}

/** Names as in tfjs `compile` (which also takes them capitalised), and ours. */
const BY_NAME: ReadonlyMap<string, () => OptimizerSpec> = new Map([
  ["sgd", () => sgd()],
  ["momentum", () => momentum()],
  ["adagrad", () => adagrad()],
  ["rowwise-adagrad", () => rowwiseAdagrad()],
  ["adam", () => adam()],
  ["ftrl", () => ftrl()],
]);

/**
 * The spec of a name with its default numbers, or the spec itself.
 *
 * @throws {RangeError} unknown name, or a number out of its range
 * @example optimizerSpecFrom("adam") // adam({ learningRate: 0.001 })
 */
export function optimizerSpecFrom(nameOrSpec: string | OptimizerSpec): OptimizerSpec {
  if (typeof nameOrSpec !== "string") {
    checkOptimizerSpec(nameOrSpec);
    return nameOrSpec;
  }
  const named = BY_NAME.get(nameOrSpec.toLowerCase());
  if (named) return named();
  throw new RangeError(`unknown optimizer "${nameOrSpec}": use one of ${[...BY_NAME.keys()].join(", ")}`);
}

function build<Kind extends OptimizerKind>(defaults: SpecOf<Kind>, options: Options<Kind>): OptimizerSpec {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name] of given) {
    if (name === "kind" || !(name in defaults)) throw unknownOption(defaults, name);
  }
  const spec: OptimizerSpec = { ...defaults, ...Object.fromEntries(given) };
  checkOptimizerSpec(spec);
  return spec;
}

function unknownOption(defaults: OptimizerSpec, name: string): TypeError {
  const known = Object.keys(defaults).filter((each) => each !== "kind");
  return new TypeError(`${defaults.kind} has no option "${name}": it takes ${known.join(", ")}`);
}
