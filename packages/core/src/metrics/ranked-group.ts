/**
 * The head of one group's ranking: its k best candidates by score, and what decides its metrics. Two heads of one
 * group's parts merge to the head of the whole, in any order.
 *
 * Ties go against the model: of candidates with equal scores the less relevant ranks first, so a model that gives
 * every candidate one score earns nothing by it.
 */
import type { RankingMetricName } from "../job/index.ts";
import { rankingMetricOf } from "../job/index.ts";

export interface Candidate {
  readonly score: number;
  /** The label: above 0 for a positive. */
  readonly relevance: number;
}

export class RankedGroup {
  readonly #k: number;
  /** Candidates with a relevance above 0. */
  positives = 0;
  /** The best k, best first. */
  readonly best: Candidate[] = [];
  /** The k greatest relevances above 0, greatest first. */
  readonly ideal: number[] = [];

  constructor(k: number) {
    this.#k = k;
  }

  /** Adds one candidate. */
  add(candidate: Candidate): void {
    if (candidate.relevance > 0) this.positives++;
    this.keep(candidate);
    this.keepIdeal(candidate.relevance);
  }

  /** Keeps a candidate that was counted already, if it is among the best. */
  keep(candidate: Candidate): void {
    insert(this.best, candidate, this.#k, ranksBefore);
  }

  /** Keeps a relevance that was counted already, if it is among the greatest. */
  keepIdeal(relevance: number): void {
    if (relevance > 0) insert(this.ideal, relevance, this.#k, (a, b) => a > b);
  }

  /** NaN in a group without positives, which no ranking can serve. */
  value(metric: RankingMetricName): number {
    const { kind, k } = rankingMetricOf(metric)!;
    const head = this.best.slice(0, k);
    const hits = head.filter(({ relevance }) => relevance > 0).length;
    switch (kind) {
      case "hr":
        return this.positives === 0 ? NaN : Math.min(hits, 1);
      case "recall":
        return hits / this.positives;
      case "ndcg":
        return gain(head.map(({ relevance }) => relevance)) / gain(this.ideal.slice(0, k));
      default:
        return kind satisfies never;
    }
  }
}

/** Discounted cumulative gain (Järvelin and Kekäläinen, 2002): Σ relevance / log₂(rank + 1). */
function gain(relevances: readonly number[]): number {
  return relevances.reduce((sum, relevance, i) => sum + relevance / Math.log2(i + 2), 0);
}

function ranksBefore(a: Candidate, b: Candidate): boolean {
  return a.score > b.score || (a.score === b.score && a.relevance < b.relevance);
}

/** Inserts into a sorted list of at most `lengthMax`, which may be full of better ones. */
function insert<T>(sorted: T[], item: T, lengthMax: number, before: (a: T, b: T) => boolean): void {
  let at = sorted.length;
  while (at > 0 && before(item, sorted[at - 1]!)) at--;
  if (at >= lengthMax) return;
  sorted.splice(at, 0, item);
  if (sorted.length > lengthMax) sorted.pop();
}
