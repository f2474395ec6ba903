/**
 * The area under the ROC curve from ranks, with ties at their middle rank (Mann and Whitney, 1947): what acceptance
 * tests hold the metrics of a job against, so it shares no code with them.
 */
export function rankedAuc(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  let positives = 0;
  let rankSum = 0;
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && scores[order[to]!] === scores[order[from]!]) to++;
    for (const i of order.slice(from, to)) {
      if (labels[i] !== 1) continue;
      positives++;
      rankSum += (from + 1 + to) / 2;
    }
  }
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * (order.length - positives));
}
