/**
 * Metrics as states that merge: each worker scores its share of the test rows, and the merged states give exactly
 * what one pass over all rows gives, however the rows were shared out: counts are integers, and sums are kept exactly
 * and rounded once, at the end. Where weights are no integers, see auc-histogram.ts.
 *
 * Beside the metrics an author asks for there is "loss", the job's own loss of these rows.
 */
import { z } from "zod";
import {
  checkLossShape,
  checkMetricShape,
  metricSchema,
  rankingMetricOf,
  type JobManifest,
  type LossName,
  type LossSpec,
  type MetricName,
  type RankingMetricName,
} from "../job/index.ts";
import { AucHistogram, aucStateSchema, checkAucState } from "./auc-histogram.ts";
import { checkExactAucState, ExactAuc, exactAucStateSchema } from "./exact-auc.ts";
import { ExactSum } from "./exact-sum.ts";
import { checkGroupRankingState, GroupRanking, groupRankingStateSchema } from "./group-ranking.ts";
import { termsOf, type Term } from "./sample-terms.ts";
import { checkBatch, type ScoredBatch } from "./scored-batch.ts";

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const partialSums = z.array(z.number()).max(100);

/** A state as it travels: plain JSON. */
export const metricsStateSchema = z.strictObject({
  /** Those of weight 0 are not counted. */
  samples: count,
  weight: partialSums,
  /** By the names of their terms. */
  sums: z.record(z.string().max(100), partialSums),
  auc: aucStateSchema.optional(),
  exactAuc: exactAucStateSchema.optional(),
  ranking: groupRankingStateSchema.optional(),
});
export type MetricsState = z.infer<typeof metricsStateSchema>;

export type MetricValues = Partial<Record<MetricName | "loss", number>>;

export interface MetricsOptions {
  /** As in `compile.metrics`. */
  metrics: readonly MetricName[];
  /** A training function's loss cannot be told from scores: "loss" is left out then. */
  loss?: LossSpec | undefined;
  /** Numbers the model gives for a sample; 1 by default. */
  outputs?: number | undefined;
}

/** No samples seen yet: the metrics of a job. */
export function newMetrics({ compile, model }: MetricsOf): Metrics {
  return new Metrics({ metrics: compile.metrics, loss: compile.loss, outputs: model.outputs });
}

interface MetricsOf {
  compile: Pick<JobManifest["compile"], "metrics" | "loss">;
  model: Pick<JobManifest["model"], "outputs">;
}

/** The state of some metrics over the samples seen so far. */
export class Metrics {
  readonly #names: readonly (MetricName | "loss")[];
  readonly #loss: LossName | undefined;
  readonly #outputs: number;
  #samples = 0;
  readonly #weight = new ExactSum();
  readonly #sums: ReadonlyMap<string, { term: Term; sum: ExactSum }>;
  readonly #auc: AucHistogram | undefined;
  readonly #exactAuc: ExactAuc | undefined;
  readonly #ranking: GroupRanking | undefined;
  readonly #needs: "binary" | "any";

  constructor({ metrics, loss, outputs = 1 }: MetricsOptions) {
    for (const name of metrics) metricSchema.parse(name);
    this.#loss = typeof loss === "string" ? loss : undefined;
    this.#names = [...(this.#loss === undefined ? [] : (["loss"] as const)), ...metrics];
    this.#outputs = outputs;
    const terms = termsOf({ metrics, loss, outputs });
    this.#sums = new Map([...terms].map(([name, term]) => [name, { term, sum: new ExactSum() }]));
    if (metrics.includes("auc")) this.#auc = new AucHistogram();
    if (metrics.includes("exactAuc")) this.#exactAuc = new ExactAuc();
    const ranking = metrics.filter((name): name is RankingMetricName => rankingMetricOf(name) !== undefined);
    if (ranking.length > 0 && outputs === 1) this.#ranking = new GroupRanking(ranking);
    const binary = metrics.some((name) => name === "auc" || name === "exactAuc" || name === "logloss");
    this.#needs = binary ? "binary" : "any";
  }

  /**
   * Adds samples. Scores are what the model predicts: probabilities for `logloss`, anything that ranks for `auc`.
   *
   * @throws {TypeError} labels that a metric cannot be told from, or no groups for a ranking metric
   * @throws {RangeError} arrays that do not fit, a score that is not finite, or a label out of range; nothing is added
   * then
   */
  update(batch: ScoredBatch): void {
    const { labelWidth, outputs, samples, weight } = batch;
    if (outputs !== this.#outputs) throw new RangeError(`scores of ${outputs} outputs; the model has ${this.#outputs}`);
    if (this.#loss !== undefined) checkLossShape({ loss: this.#loss, outputs, labelWidth });
    checkMetricShape({ metrics: this.#names, outputs, labelWidth, grouped: batch.group !== undefined });
    checkBatch(batch, this.#needs);
    const sums = [...this.#sums].map(([name, { term, sum }]) => ({ sum, terms: termsOfBatch(name, term, batch) }));
    for (const { sum, terms } of sums) for (const term of terms) if (term !== 0) sum.add(term);
    for (let b = 0; b < samples; b++) {
      if (weight?.[b] === 0) continue;
      this.#samples++;
      if (weight) this.#weight.add(weight[b]!);
    }
    if (!weight) this.#weight.add(samples);
    this.#auc?.update(batch);
    this.#exactAuc?.update(batch);
    this.#ranking?.update(batch);
  }

  /**
   * Adds what another worker has seen.
   *
   * @throws {TypeError} a state of other metrics, or one that is malformed; nothing is added then
   */
  merge(state: MetricsState): void {
    const odd = oddOneOut(this.#parts(), partsOf(state));
    if (odd !== undefined) throw new TypeError(`cannot merge metrics: only one of the two states has ${odd}`);
    if (state.auc) checkAucState(state.auc);
    if (state.exactAuc) checkExactAucState(state.exactAuc);
    if (state.ranking) checkGroupRankingState(state.ranking);
    if (state.auc) this.#auc!.merge(state.auc);
    if (state.exactAuc) this.#exactAuc!.merge(state.exactAuc);
    if (state.ranking) this.#ranking!.merge(state.ranking);
    for (const [name, { sum }] of this.#sums) for (const term of state.sums[name]!) sum.add(term);
    for (const term of state.weight) this.#weight.add(term);
    this.#samples += state.samples;
  }

  toJSON(): MetricsState {
    return {
      samples: this.#samples,
      weight: this.#weight.toJSON(),
      sums: Object.fromEntries([...this.#sums].map(([name, { sum }]) => [name, sum.toJSON()])),
      ...(this.#auc && { auc: this.#auc.toJSON() }),
      ...(this.#exactAuc && { exactAuc: this.#exactAuc.toJSON() }),
      ...(this.#ranking && { ranking: this.#ranking.toJSON() }),
    };
  }

  /** NaN where there is nothing to tell: no samples, or labels of one class only for `auc`. */
  result(): MetricValues {
    return Object.fromEntries(this.#names.map((name) => [name, this.#value(name)]));
  }

  #value(name: MetricName | "loss"): number {
    const weight = this.#weight.value();
    switch (name) {
      // As tfjs divides a weighted loss: by the samples whose weight is not 0.
      case "loss":
        return this.#sum("loss") / this.#samples;
      case "auc":
        return this.#auc!.value();
      case "exactAuc":
        return this.#exactAuc!.value();
      case "mse":
        return this.#sum("squared error") / weight;
      case "rmse":
        return Math.sqrt(this.#sum("squared error") / weight);
      case "mae":
        return this.#sum("absolute error") / weight;
      case "accuracy":
        return this.#sum("correct") / weight;
      case "logloss":
        return this.#sum("logloss") / weight;
      case "calibration":
        return this.#sum("prediction") / this.#sum("label");
      default:
        return this.#ranking ? this.#ranking.value(name) : this.#sum(name) / this.#sum("ranked");
    }
  }

  #sum(name: string): number {
    return this.#sums.get(name)!.sum.value();
  }

  #parts(): string[] {
    return partsOf({
      sums: Object.fromEntries(this.#sums),
      auc: this.#auc,
      exactAuc: this.#exactAuc,
      ranking: this.#ranking,
    });
  }
}

/** Weighted terms of the samples, all finite. */
function termsOfBatch(name: string, term: Term, batch: ScoredBatch): Float64Array {
  const { samples, weight } = batch;
  const terms = new Float64Array(samples);
  for (let b = 0; b < samples; b++) {
    const w = weight ? weight[b]! : 1;
    if (w === 0) continue;
    const value = w * term(batch, b);
    if (!Number.isFinite(value))
      throw new RangeError(
        `${name} of sample ${b} is ${value}: its scores do not fit, as negative ones for a logarithm`,
      );
    terms[b] = value;
  }
  return terms;
}

/** What a state has, in the words of an author. */
function partsOf({
  sums,
  ...others
}: {
  sums: object;
  auc?: unknown;
  exactAuc?: unknown;
  ranking?: unknown;
}): string[] {
  const kept = (["auc", "exactAuc", "ranking"] as const).filter((part) => others[part] !== undefined);
  return [...kept, ...Object.keys(sums)];
}

function oddOneOut(mine: readonly string[], theirs: readonly string[]): string | undefined {
  return mine.find((part) => !theirs.includes(part)) ?? theirs.find((part) => !mine.includes(part));
}
