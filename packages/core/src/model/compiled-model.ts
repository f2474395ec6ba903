/**
 * What `model.compile(…)` of tfjs said, in our words: so that a model that trains with `model.fit` trains on a
 * cluster by the same call. Functions do not travel, so losses and metrics must be named.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { didYouMean } from "../data/spec/nearest-name.ts";
import { LOSS_NAMES, METRIC_NAMES, type LossName, type MetricName } from "../job/manifest.ts";
import { adagrad, adam, momentum, sgd, type OptimizerSpec } from "../optimizer/index.ts";
import type { JobArgs } from "./define-job.ts";

/** tfjs keeps these to itself, typed as private or protected. */
interface Compiled {
  optimizer_?: { getClassName(): string; getConfig(): Record<string, unknown> } | undefined;
  loss?: unknown;
  metrics?: unknown;
}

/**
 * How to train a model: as `given`, and where that says nothing, as the model was compiled.
 *
 * @throws {TypeError} neither says it; or an optimizer, loss or metric the cluster does not have, with those it has
 */
export function compileOf(model: LayersModel, given: Partial<JobArgs["compile"]> = {}): JobArgs["compile"] {
  const { optimizer_: optimizer, loss, metrics } = model as unknown as Compiled;
  const missing = (["optimizer", "loss"] as const).filter((key) => given[key] === undefined);
  if (!optimizer && missing.length > 0) {
    throw new TypeError(
      `the model is not compiled, and compile says no ${missing.join(" and no ")}; write compile: { optimizer: "adam", ` +
        `loss: "binaryCrossentropy" }, or model.compile(…) before`,
    );
  }
  return {
    ...given,
    optimizer: given.optimizer ?? optimizerSpecOf(optimizer!.getClassName(), optimizer!.getConfig()),
    loss: given.loss ?? lossOf(loss),
    metrics: given.metrics ?? (optimizer ? metricsOf(metrics) : []),
  };
}

function optimizerSpecOf(name: string, config: Record<string, unknown>): OptimizerSpec {
  const { learningRate } = config as { learningRate: number };
  switch (name) {
    case "SGD":
      return sgd({ learningRate });
    case "Momentum":
      return momentum({
        learningRate,
        momentum: config["momentum"] as number,
        nesterov: Boolean(config["useNesterov"]),
      });
    case "Adam": {
      const { beta1, beta2, epsilon } = config as Record<"beta1" | "beta2" | "epsilon", number>;
      return adam({ learningRate, beta1, beta2, epsilon });
    }
    case "Adagrad":
      return adagrad({ learningRate, initialAccumulator: config["initialAccumulatorValue"] as number });
    default:
      throw new TypeError(
        `the model is compiled with tfjs's ${name}, which a cluster does not have; compile it with sgd, momentum, ` +
          `adagrad or adam, or give compile: { optimizer: … } to fit()`,
      );
  }
}

function lossOf(loss: unknown): LossName {
  const [only, ...others] = Array.isArray(loss) ? (loss as unknown[]) : [loss];
  if (typeof only === "string" && others.length === 0) {
    const name = LOSS_NAMES.find((each) => each === only);
    if (name !== undefined) return name;
  }
  throw new TypeError(
    `the model is compiled with loss ${shown(loss)}; name one of ${LOSS_NAMES.join(", ")}` +
      `${typeof loss === "function" ? ": functions do not travel. A loss of your own goes into a plugin file" : ""}`,
  );
}

/** tfjs tells an accuracy by the loss; so do we. */
const METRICS: ReadonlyMap<string, MetricName> = new Map([
  ["acc", "accuracy"],
  ["binaryAccuracy", "accuracy"],
  ["categoricalAccuracy", "accuracy"],
  ["sparseCategoricalAccuracy", "accuracy"],
  ["MSE", "mse"],
  ["MAE", "mae"],
  ...METRIC_NAMES.map((name): [string, MetricName] => [name, name]),
]);

function metricsOf(metrics: unknown): MetricName[] {
  const all =
    metrics === undefined || metrics === null ? [] : Array.isArray(metrics) ? (metrics as unknown[]) : [metrics];
  return all.map((metric) => {
    const name = typeof metric === "string" ? METRICS.get(metric) : undefined;
    if (name !== undefined) return name;
    throw new TypeError(
      `the model is compiled with metric ${shown(metric)}; name some of ${METRIC_NAMES.join(", ")}` +
        `${typeof metric === "string" ? `.${didYouMean(metric, METRIC_NAMES)}` : ": functions do not travel"}`,
    );
  });
}

const shown = (value: unknown): string =>
  typeof value === "function" ? `function ${value.name || "without a name"}` : (JSON.stringify(value) ?? String(value));
