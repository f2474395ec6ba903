/**
 * Which member keeps the optimizer's state of which dense weights, and what moves when the members change. Each keeps
 * that of the weights whose gradients it sums in a round, so that a round updates them where they come together.
 */

/** Dense weights from one position to another, in the order of the flat buffer. */
export interface WeightRange {
  from: number;
  to: number;
}

/** The state of a range has a new place. */
export interface StateMove extends WeightRange {
  /** Who has it; undefined where nobody has, so that it begins anew. */
  owner: number | undefined;
  heir: number;
}

/** The range of one rank of so many. */
export type RangeOf = (at: { rank: number; size: number }) => WeightRange;

/**
 * The moves after which `members` have the state that was split over `owners`, each by rank. Every weight is in exactly
 * one of them; those of a range that stays where it is have an owner that is its heir.
 *
 * @param owners who had it; empty where there is none yet. One that is no member is lost.
 */
export function stateMoves(o: {
  owners: readonly number[];
  members: readonly number[];
  rangeOf: RangeOf;
}): StateMove[] {
  const { owners, members, rangeOf } = o;
  return members.flatMap((heir, rank) => {
    const wanted = rangeOf({ rank, size: members.length });
    if (wanted.from === wanted.to) return [];
    if (owners.length === 0) return [{ ...wanted, owner: undefined, heir }];
    return owners.flatMap((worker, place) => {
      const had = rangeOf({ rank: place, size: owners.length });
      const from = Math.max(wanted.from, had.from);
      const to = Math.min(wanted.to, had.to);
      return from < to ? [{ from, to, owner: members.includes(worker) ? worker : undefined, heir }] : [];
    });
  });
}
