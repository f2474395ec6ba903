/**
 * Whether a job's labels fit its loss and metrics. A label has the width of the model's output, or is one number that
 * is a class; a loss may take but one of these.
 */
import type { LabelSpec } from "../data/spec/data-spec.ts";
import { rankingMetricOf, type JobManifest, type LossName } from "./manifest.ts";

/** Distinct scores of an evaluation share travel in one control message, so a sample may not have too many. */
const EXACT_AUC_OUTPUTS_MAX = 32;

/**
 * Checks a whole job, as far as its label's width is known: it is in the data only where a column may hold lists.
 *
 * @throws {TypeError} naming what does not fit, and the remedy
 */
export function checkLabels(
  { compile, model, data }: Pick<JobManifest, "compile" | "model" | "data">,
  labelWidth: number | undefined = widthOf(data.label),
): void {
  const { outputs } = model;
  if (typeof compile.loss === "string") checkLossShape({ loss: compile.loss, outputs, labelWidth });
  const { metrics } = compile;
  checkMetricShape({ metrics, outputs, labelWidth, grouped: data.group !== undefined });
}

/** Floats of a label; undefined where only the data can tell. */
function widthOf(label: LabelSpec | undefined): number | undefined {
  switch (label?.kind) {
    case "columns":
      return label.columns.length;
    case "constant":
      return label.values.length;
    case "column":
      return undefined;
    default:
      return 1;
  }
}

/** @throws {TypeError} a loss that cannot compare these outputs with these labels */
export function checkLossShape({
  loss,
  outputs,
  labelWidth,
}: {
  loss: LossName;
  outputs: number;
  labelWidth?: number | undefined;
}): void {
  switch (loss) {
    case "categoricalCrossentropy":
      if (outputs === 1) throw new TypeError(noClasses(loss));
      if (labelWidth === undefined || labelWidth === outputs) return;
      throw new TypeError(
        `loss "${loss}" compares the model's ${count(outputs, "output")} with as many numbers of a label, and a label has ` +
          `${labelWidth}; ${labelWidth === 1 ? 'where it is the number of a class use loss "sparseCategoricalCrossentropy"' : `let the model end in ${labelWidth} units`}`,
      );
    case "sparseCategoricalCrossentropy":
      if (outputs === 1) throw new TypeError(noClasses(loss));
      if (labelWidth === undefined || labelWidth === 1) return;
      throw new TypeError(
        `loss "${loss}" takes the number of a class for a label, and a label has ${labelWidth} numbers; ` +
          'use loss "categoricalCrossentropy", or a label of one column',
      );
    case "bpr":
    case "sampledSoftmax":
      if (outputs > 1) return;
      throw new TypeError(
        `loss "${loss}" compares the model's first output with the others, and the model gives 1; ` +
          "let it end in the scores of the positive and of its negatives, joined by concatenate()",
      );
    default:
      if (labelWidth === undefined || labelWidth === outputs) return;
      throw new TypeError(
        `loss "${loss}" compares the model's ${count(outputs, "output")} with as many numbers of a label, and a label has ` +
          `${labelWidth}; let the model end in ${count(labelWidth, "unit")}, or label with ${count(outputs, "column")}`,
      );
  }
}

/**
 * @param at.metrics of the job, and "loss", which fits what the loss fits
 * @param at.grouped has the data a group?
 * @throws {TypeError} a metric that cannot be told from these outputs and labels
 */
export function checkMetricShape({
  metrics,
  outputs,
  labelWidth,
  grouped,
}: {
  metrics: readonly string[];
  outputs: number;
  labelWidth?: number | undefined;
  grouped: boolean;
}): void {
  for (const metric of metrics) {
    if (metric === "loss") continue;
    if (labelWidth !== undefined && labelWidth !== outputs && labelWidth !== 1) {
      throw new TypeError(
        `metric "${metric}" compares the model's ${count(outputs, "output")} with as many numbers of a label, or with the number ` +
          `of a class, and a label has ${labelWidth} numbers`,
      );
    }
    if (metric === "exactAuc" && outputs > EXACT_AUC_OUTPUTS_MAX) {
      throw new TypeError(
        `metric "exactAuc" keeps every score, so a model may have at most ${EXACT_AUC_OUTPUTS_MAX} outputs, not ${outputs}; use "auc"`,
      );
    }
    if (rankingMetricOf(metric) !== undefined) checkRanking(metric, { outputs, grouped });
  }
}

function checkRanking(metric: string, { outputs, grouped }: { outputs: number; grouped: boolean }): void {
  if (outputs === 1 && !grouped) {
    throw new TypeError(
      `metric "${metric}" ranks the rows of a group, and the data has no group; name the field that tells them apart, as group: "user"`,
    );
  }
  if (outputs > 1 && grouped) {
    throw new TypeError(
      `metric "${metric}" ranks either the rows of a group or a model's ${outputs} outputs, and this job has both; leave out group`,
    );
  }
}

function noClasses(loss: LossName): string {
  return (
    `loss "${loss}" needs an output for each class, and the model gives 1; ` +
    'end in tf.layers.dense({ units: classes, activation: "softmax" }), or use loss "binaryCrossentropy"'
  );
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
