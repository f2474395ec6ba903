/**
 * Ranking metrics over groups of rows (a user's candidates, a query's documents): hr@k, ndcg@k and recall@k of each
 * group, and their mean over the groups that have a positive. A group's rows may lie anywhere, on any worker: its state
 * is bounded by k and merges exactly.
 */
import { z } from "zod";
import { rankingMetricOf, type RankingMetricName } from "../job/index.ts";
import { ExactSum } from "./exact-sum.ts";
import { RankedGroup } from "./ranked-group.ts";
import type { ScoredBatch } from "./scored-batch.ts";

const u32 = z.number().int().min(0).max(0xffff_ffff);
const count = z.number().int().nonnegative();

/** Groups one after another; the lists of all groups are joined, with their lengths beside them. */
export const groupRankingStateSchema = z.strictObject({
  /** Keys as u32 pairs, low word first. */
  keys: z.array(u32),
  positives: z.array(count),
  /** How many candidates of each group are kept. */
  kept: z.array(count),
  scores: z.array(z.number()),
  relevances: z.array(z.number()),
  /** How many of its greatest relevances are kept. */
  ideals: z.array(count),
  idealRelevances: z.array(z.number()),
});
export type GroupRankingState = z.infer<typeof groupRankingStateSchema>;

export class GroupRanking {
  readonly #k: number;
  readonly #groups = new Map<bigint, RankedGroup>();

  constructor(metrics: readonly RankingMetricName[]) {
    this.#k = Math.max(...metrics.map((metric) => rankingMetricOf(metric)!.k));
  }

  /** Rows of weight 0 are left out; other weights do not matter: each group counts once. */
  update({ samples, labels, scores, weight, group }: ScoredBatch): void {
    for (let b = 0; b < samples; b++) {
      if (weight?.[b] === 0) continue;
      this.#groupOf(group![2 * b]!, group![2 * b + 1]!).add({ score: scores[b]!, relevance: labels[b]! });
    }
  }

  /** @param state checked */
  merge(state: GroupRankingState): void {
    let candidate = 0;
    let ideal = 0;
    for (const [i, positives] of state.positives.entries()) {
      const group = this.#groupOf(state.keys[2 * i]!, state.keys[2 * i + 1]!);
      group.positives += positives;
      for (const end = candidate + state.kept[i]!; candidate < end; candidate++)
        group.keep({ score: state.scores[candidate]!, relevance: state.relevances[candidate]! });
      for (const end = ideal + state.ideals[i]!; ideal < end; ideal++) group.keepIdeal(state.idealRelevances[ideal]!);
    }
  }

  toJSON(): GroupRankingState {
    const state: GroupRankingState = {
      keys: [],
      positives: [],
      kept: [],
      scores: [],
      relevances: [],
      ideals: [],
      idealRelevances: [],
    };
    for (const [key, { positives, best, ideal }] of this.#groups) {
      state.keys.push(Number(key & 0xffff_ffffn), Number(key >> 32n));
      state.positives.push(positives);
      state.kept.push(best.length);
      for (const { score, relevance } of best) {
        state.scores.push(score);
        state.relevances.push(relevance);
      }
      state.ideals.push(ideal.length);
      state.idealRelevances.push(...ideal);
    }
    return state;
  }

  /** The mean of a metric over the groups with a positive; NaN where there is none. */
  value(metric: RankingMetricName): number {
    const sum = new ExactSum();
    let groups = 0;
    for (const group of this.#groups.values()) {
      if (group.positives === 0) continue;
      sum.add(group.value(metric));
      groups++;
    }
    return sum.value() / groups;
  }

  #groupOf(lo: number, hi: number): RankedGroup {
    const key = (BigInt(hi) << 32n) | BigInt(lo);
    let group = this.#groups.get(key);
    if (!group) this.#groups.set(key, (group = new RankedGroup(this.#k)));
    return group;
  }
}

/** @throws {TypeError} a malformed state */
export function checkGroupRankingState(state: GroupRankingState): void {
  const { keys, positives, kept, scores, relevances, ideals, idealRelevances } = state;
  const groups = positives.length;
  const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
  const fits =
    keys.length === 2 * groups &&
    kept.length === groups &&
    ideals.length === groups &&
    scores.length === sum(kept) &&
    relevances.length === scores.length &&
    idealRelevances.length === sum(ideals);
  if (!fits) throw new TypeError(`ranking state of ${groups} groups: its lists do not fit each other`);
}
