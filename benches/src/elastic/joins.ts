/** How much moves when a node joins: by the placement alone, and on a cluster. */
import { placePartitions, type Placement } from "@volary/core/partition";
import { seededRandom } from "@volary/core/testing";

const PARTITIONS = 256;
const REPLICAS = 2;
const NAME_SETS = 100;
const NODES_MAX = 10;

/** What a join moved. */
export interface Moved {
  /**
   * Partitions that have another node than before, over the joiner's fair share of them; of the places in a chain, the
   * one where most have. The least that could move is about 1.
   */
  overIdeal: number;
  /** Copies of partitions that went to nodes that were there before. */
  betweenOld: number;
}

/** Both placements have the names along each chain, head first; `joiner` is in the one after alone. */
export function movedBy(before: Placement, after: Placement, joiner: string): Moved {
  const nodes = new Set(after.flat()).size;
  const places = Math.max(...after.map((chain) => chain.length));
  const movedAt = Array.from(
    { length: places },
    (_, place) => after.filter((chain, partition) => chain[place] !== before[partition]![place]).length,
  );
  const betweenOld = after.map(
    (chain, partition) => chain.filter((name) => name !== joiner && !before[partition]!.includes(name)).length,
  );
  return {
    overIdeal: Math.max(...movedAt) / (after.length / nodes),
    betweenOld: betweenOld.reduce((sum, count) => sum + count, 0),
  };
}

/**
 * Joins of a node to one and more others, over many sets of names: the worst of each figure.
 *
 * @param memory whether the placement knows the one before, as it does on a cluster; a control has none
 */
export function worstPlacedJoin({ memory }: { memory: "previous" | "none" }): Moved {
  const random = seededRandom(1);
  const worst: Moved = { overIdeal: 0, betweenOld: 0 };
  for (let set = 0; set < NAME_SETS; set++) {
    const names = Array.from(
      { length: REPLICAS + 1 + random.below(NODES_MAX - REPLICAS) },
      (_, i) => `node-${random.below(1e9)}-${i}`,
    );
    const joiner = names.at(-1)!;
    const place = (nodes: readonly string[], previous?: Placement) =>
      placePartitions({
        partitions: PARTITIONS,
        nodes,
        replicas: REPLICAS,
        ...(previous === undefined ? {} : { previous }),
      });
    // As clusters grow: one node after the other.
    let before = place(names.slice(0, 1));
    for (let n = 2; n < names.length; n++) before = place(names.slice(0, n), before);
    const after = place(names, memory === "previous" ? before : undefined);
    const { overIdeal, betweenOld } = movedBy(before, after, joiner);
    worst.overIdeal = Math.max(worst.overIdeal, overIdeal);
    worst.betweenOld = Math.max(worst.betweenOld, betweenOld);
  }
  return worst;
}
