/**
 * Where the rows of a batch are: which keys travel to which node, and which of the rows that come back belongs to
 * which place of which sample. `UniqueKeys` makes it; gather and scatter go by it.
 *
 * Shapes: F uses, B samples, T tables, P partitions, S segments, n occurrences of keys, M masked places.
 */

/** Which partition owns a key, and which node serves a partition. */
export interface KeyPlacement {
  /** @returns a number below `nodeOf.length` */
  partitionOf(lo: number, hi: number): number;
  /** Partition → node, shape [P]; nodes count from 0. */
  readonly nodeOf: ArrayLike<number>;
  readonly nodes: number;
}

/** The sections of one node's pull frame, and of its push. */
export interface NodeKeys {
  /** Partitions with at least one key, ascending, shape [S]. */
  readonly partitions: Uint32Array;
  /** Keys of a segment in a table, shape [S, T]. */
  readonly counts: Uint32Array;
  /** Segment by segment, table by table, ascending within; length 2 × keys. */
  readonly keys: Uint32Array;
  /** The node's rows are floats [from, to) of the flat row buffer. */
  readonly from: number;
  readonly to: number;
}

export interface KeyPlan {
  readonly samples: number;
  /** Width of each use's rows, shape [F]. */
  readonly dims: Uint32Array;
  /** Floats of a sample that each use gives, shape [F]; side by side they are its packed row. */
  readonly widths: Uint32Array;
  /** 1 where a use's rows are combined to one, else 0, shape [F]. */
  readonly pooled: Uint8Array;
  /** Tables of every frame, ascending, shape [T]. */
  readonly tables: Uint32Array;
  /** One per node, those without keys too. */
  readonly nodes: readonly NodeKeys[];
  readonly uniqueKeys: number;
  /** Floats of the rows of all unique keys: the length of the flat row buffer, node after node in key order. */
  readonly rowFloats: number;
  /** Where each occurrence's row begins in the flat row buffer, shape [n]: sample by sample, use by use, in order. */
  readonly offsets: Uint32Array;
  /** Sample b's use f has the occurrences [lists[bF + f], lists[bF + f + 1]); undefined: one each, n = BF. */
  readonly lists: Uint32Array | undefined;
  /** What each occurrence's row is multiplied by where its use is pooled, shape [n]; undefined: 1. */
  readonly coefficients: Float32Array | undefined;
  /** Where the rows begin that are no sample's, in the order of their keys. */
  readonly asideOffsets: Uint32Array;
  /** 1 where a masked sequence has a place that counts, else 0, shape [B, M], use after use; undefined where M = 0. */
  readonly masks: Float32Array | undefined;
}

/** The order of partitions in the frames: node by node, ascending within. */
export interface Places {
  /** Partition → its place in that order. */
  readonly rankOf: Uint32Array;
  readonly partitionAt: Uint32Array;
  /** Rank of each node's first partition, shape [nodes + 1]. */
  readonly firstRank: Uint32Array;
}

/** @throws {RangeError} a partition on a node that is not there */
export function placesOf({ nodeOf, nodes }: KeyPlacement): Places {
  const P = nodeOf.length;
  const firstRank = new Uint32Array(nodes + 1);
  for (let p = 0; p < P; p++) {
    const node = nodeOf[p]!;
    if (!(node >= 0 && node < nodes))
      throw new RangeError(`partition ${p} is on node ${node}; nodes count from 0 to ${nodes - 1}`);
    firstRank[node + 1]!++;
  }
  for (let node = 0; node < nodes; node++) firstRank[node + 1]! += firstRank[node]!;
  const next = firstRank.slice();
  const rankOf = new Uint32Array(P);
  const partitionAt = new Uint32Array(P);
  for (let p = 0; p < P; p++) {
    const rank = next[nodeOf[p]!]!++;
    rankOf[p] = rank;
    partitionAt[rank] = p;
  }
  return { rankOf, partitionAt, firstRank };
}
