/**
 * Which numbers an optimizer can work with. The schema of `optimizer-spec.ts` guards the wire; these checks add
 * what would divide by zero in float32, and say it in the words of the author who wrote the number.
 */
import type { OptimizerKind, OptimizerSpec, ScheduleSpec } from "./optimizer-spec.ts";

/** The spec of one kind of optimizer. */
export type SpecOf<Kind extends OptimizerKind> = Extract<OptimizerSpec, { kind: Kind }>;

/** @throws {RangeError} naming the optimizer, the number, its limit and a usual value */
export function checkOptimizerSpec(spec: OptimizerSpec): void {
  if ("schedule" in spec && spec.schedule !== undefined) checkSchedule(spec, spec.schedule);
  switch (spec.kind) {
    case "none":
    case "sum":
    case "count":
    case "max":
    case "set":
      return;
    case "sgd":
      return checkAtLeastZero(spec, "learningRate", 0.01);
    case "momentum":
      checkAtLeastZero(spec, "learningRate", 0.01);
      return checkShare(spec, "momentum", 0.9);
    case "adagrad":
    case "rowwise-adagrad":
      checkAtLeastZero(spec, "learningRate", 0.01);
      checkAtLeastZero(spec, "initialAccumulator", 0.1);
      checkAtLeastZero(spec, "epsilon", 1e-7);
      return checkDivisor(spec);
    case "adam":
    case "adamw":
      if (spec.kind === "adamw") checkAtLeastZero(spec, "weightDecay", 0.004);
      checkAtLeastZero(spec, "learningRate", 0.001);
      checkShare(spec, "beta1", 0.9);
      checkShare(spec, "beta2", 0.999);
      return checkPositive(spec, "epsilon", 1e-7);
    case "ftrl":
      checkPositive(spec, "learningRate", 0.05);
      checkAtLeastZero(spec, "beta", 1);
      checkAtLeastZero(spec, "l1", 0);
      return checkAtLeastZero(spec, "l2", 0);
    case "custom":
      return;
    default:
      return spec satisfies never;
  }
}

function checkAtLeastZero<S extends OptimizerSpec>(spec: S, name: keyof S & string, usual: number): void {
  const value: unknown = spec[name];
  if (typeof value === "number" && value >= 0 && Number.isFinite(Math.fround(value))) return;
  throw outOfRange(spec, { name, value, limit: "a finite float32 number of at least 0", usual });
}

function checkPositive<S extends OptimizerSpec>(spec: S, name: keyof S & string, usual: number): void {
  const value: unknown = spec[name];
  if (typeof value === "number" && Math.fround(value) > 0 && Number.isFinite(Math.fround(value))) return;
  throw outOfRange(spec, { name, value, limit: "a finite float32 number above 0", usual });
}

function checkShare<S extends OptimizerSpec>(spec: S, name: keyof S & string, usual: number): void {
  const value: unknown = spec[name];
  if (typeof value === "number" && value >= 0 && Math.fround(value) < 1) return;
  throw outOfRange(spec, { name, value, limit: "at least 0 and, in float32, below 1", usual });
}

function checkSchedule(spec: OptimizerSpec, schedule: ScheduleSpec): void {
  if (spec.kind === "ftrl") {
    throw new RangeError(
      "ftrl: its learning rate cannot change with the step, because its state z is made of it; give a number, or use adagrad()",
    );
  }
  if (schedule.kind !== "piecewise") return;
  const { boundaries, factors } = schedule;
  if (factors.length !== boundaries.length + 1) {
    throw new RangeError(
      `${spec.kind}: schedule has ${boundaries.length} boundaries and ${factors.length} factors; give one factor more`,
    );
  }
  const odd = boundaries.findIndex((boundary, i) => i > 0 && boundary <= boundaries[i - 1]!);
  if (odd !== -1) {
    throw new RangeError(
      `${spec.kind}: schedule boundaries must ascend: boundaries[${odd}] is ${boundaries[odd]} after ${boundaries[odd - 1]}`,
    );
  }
}

/** A weight that never had a gradient would divide 0 by 0. */
function checkDivisor(spec: SpecOf<"adagrad" | "rowwise-adagrad">): void {
  if (Math.fround(spec.epsilon) > 0 || Math.fround(spec.initialAccumulator) > 0) return;
  throw new RangeError(
    `${spec.kind}: epsilon and initialAccumulator are both 0 in float32, so a gradient of 0 would give NaN; set epsilon to 1e-7`,
  );
}

function outOfRange(
  spec: OptimizerSpec,
  bad: { name: string; value: unknown; limit: string; usual: number },
): RangeError {
  return new RangeError(
    `${spec.kind}: ${bad.name} is ${String(bad.value)} and must be ${bad.limit}; ${bad.usual} is a usual value`,
  );
}
