/**
 * What the metrics that are means add up, sample by sample. Several outputs of a sample count evenly, and a sample by
 * its weight.
 */
import { rankingMetricOf, type LossSpec, type MetricName, type RankingMetricName } from "../job/index.ts";
import { RankedGroup } from "./ranked-group.ts";
import { binaryCrossentropy, categoricalCrossentropy, mean, sampleLoss } from "./sample-loss.ts";
import { classOf, greatestScore, targetAt, type ScoredBatch } from "./scored-batch.ts";

/** What sample `b` adds to a sum, before its weight. */
export type Term = (batch: ScoredBatch, b: number) => number;

/** The sums that metrics need, by name. */
export function termsOf(o: {
  metrics: readonly MetricName[];
  loss?: LossSpec | undefined;
  outputs: number;
}): Map<string, Term> {
  const { loss, outputs } = o;
  const terms = new Map<string, Term>();
  if (typeof loss === "string") terms.set("loss", (batch, b) => sampleLoss(loss, batch, b));
  /** As tfjs and Keras tell what "accuracy" means. */
  const binary = outputs === 1 || loss === "binaryCrossentropy";
  for (const name of o.metrics) {
    switch (name) {
      case "auc":
      case "exactAuc":
        break;
      case "mse":
      case "rmse":
        terms.set("squared error", squaredError);
        break;
      case "mae":
        terms.set("absolute error", absoluteError);
        break;
      case "accuracy":
        terms.set(
          "correct",
          binary ? binaryCorrect : (batch, b) => (greatestScore(batch, b) === classOf(batch, b) ? 1 : 0),
        );
        break;
      case "logloss":
        terms.set("logloss", binary ? (batch, b) => mean(batch, b, binaryCrossentropy) : categoricalCrossentropy);
        break;
      case "calibration":
        terms.set("prediction", (batch, b) => mean(batch, b, (score) => score));
        terms.set("label", (batch, b) => mean(batch, b, (_, target) => target));
        break;
      default:
        if (outputs === 1) break;
        terms.set(name, rankingOfRow(name));
        terms.set("ranked", (batch, b) => (hasPositive(batch, b) ? 1 : 0));
    }
  }
  return terms;
}

const squaredError: Term = (batch, b) => mean(batch, b, (score, target) => (score - target) * (score - target));
const absoluteError: Term = (batch, b) => mean(batch, b, (score, target) => Math.abs(score - target));
const binaryCorrect: Term = (batch, b) => mean(batch, b, (score, target) => ((score > 0.5 ? 1 : 0) === target ? 1 : 0));

/** A row's own outputs are the candidates; a row without a positive counts for nothing. */
function rankingOfRow(metric: RankingMetricName): Term {
  const { k } = rankingMetricOf(metric)!;
  return (batch, b) => {
    const { scores, outputs } = batch;
    const group = new RankedGroup(k);
    for (let o = 0; o < outputs; o++) group.add({ score: scores[b * outputs + o]!, relevance: targetAt(batch, b, o) });
    return group.positives === 0 ? 0 : group.value(metric);
  };
}

function hasPositive(batch: ScoredBatch, b: number): boolean {
  for (let o = 0; o < batch.outputs; o++) if (targetAt(batch, b, o) > 0) return true;
  return false;
}
