/** The name an author probably meant, for error messages. */

/** ` Did you mean "origin"?`, or nothing where no name is near. */
export function didYouMean(name: string, names: Iterable<string>): string {
  const near = nearestName(name, names);
  return near === undefined ? "" : ` Did you mean "${near}"?`;
}

/** The name with the fewest edits (ignoring case), at most a third of `name`'s length, or undefined. */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestEdits = Math.max(1, Math.floor(name.length / 3));
  for (const candidate of names) {
    const edits = editsBetween(name.toLowerCase(), candidate.toLowerCase());
    if (edits < bestEdits || (edits === bestEdits && best === undefined)) {
      best = candidate;
      bestEdits = edits;
    }
  }
  return best;
}

/** `"a", "b"`, for messages. */
export function quoted(names: Iterable<string>): string {
  return [...names].map((name) => JSON.stringify(name)).join(", ");
}

/** An exchange of neighbours is one edit too (optimal string alignment). */
function editsBetween(from: string, to: string): number {
  let beforeLast: number[] = [];
  let previous = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const current = [i];
    for (let j = 1; j <= to.length; j++) {
      const substitution = previous[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      const isExchange = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const exchange = isExchange ? beforeLast[j - 2]! + 1 : substitution;
      current.push(Math.min(substitution, exchange, previous[j]! + 1, current[j - 1]! + 1));
    }
    beforeLast = previous;
    previous = current;
  }
  return previous[to.length]!;
}
