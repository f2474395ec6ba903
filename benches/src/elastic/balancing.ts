/** How evenly heads share the work when some keys are asked for far more often than others. */
import { partitionFunction } from "@volary/core/partition";
import { seededRandom } from "@volary/core/testing";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "volary";
import { permutation, zipfRanks } from "../keys/zipf.ts";
import { untilWhole } from "../load/cluster-watch.ts";
import { chainNames, partitionMapOf } from "../load/partition-map.ts";
import { startCluster } from "../processes/cluster.ts";

const NODES = 4;
const EXPONENT = 1.2;
const KEYS = 100_000;
const DRAWS = 256;
const PARTITIONS = 256;
/** So many of the most popular keys begin on one node, each in a partition of its own. */
const POPULAR = 32;
const BATCH_EVERY_MS = 10;
const TIMEOUT_MS = 180_000;

/** The busiest node's share of all row operations over the mean share. */
export interface Balance {
  before: number;
  after: number;
  overrides: number;
}

/**
 * Pulls and pushes batches of unique keys, Zipf-distributed, until the coordinator has moved what it wants to. Both
 * figures are of the same operations, those after the last move: by who was the head of each partition before, and who
 * is at the end.
 *
 * @param o.settledMs it has moved nothing for so long; what it averages over must be shorter
 * @param o.fault in a control, all keys are of one partition, which no placement can share out
 */
export async function balance(o: { settledMs: number; fault?: "one-partition" | undefined }): Promise<Balance> {
  const at = await startCluster({ ps: NODES, replicas: 2, psArgs: ["--memory-max", "512m"] });
  const client = await Cluster.connect(at.address);
  try {
    const { rows } = await client.tables({ rows: { dim: 4, update: "sum" } });
    const headsBefore = await headsOf(at.address);
    const nextBatch = batches(o.fault ? keysOfOnePartition() : keysByRank(headsBefore));
    let operations = new Float64Array(PARTITIONS);
    let overrides = 0;
    let settledMs = performance.now();
    const endMs = performance.now() + TIMEOUT_MS;
    for (let batch = 0; performance.now() - settledMs < o.settledMs; batch++) {
      if (performance.now() > endMs) throw new Error(`partitions were still moved after ${TIMEOUT_MS / 1000} s`);
      const keys = nextBatch();
      await rows.pull(keys);
      await rows.push(keys, new Float32Array(keys.length * rows.dim).fill(1));
      for (const key of keys) operations[partitionOf(key, 0)]! += 2;
      await delay(BATCH_EVERY_MS);
      const status = await client.status();
      if (status.overrides === overrides && status.chains.moving === 0) continue;
      overrides = status.overrides;
      settledMs = performance.now();
      operations = new Float64Array(PARTITIONS);
    }
    await untilWhole(client, NODES);
    return {
      before: busiestOverMean(operations, headsBefore),
      after: busiestOverMean(operations, await headsOf(at.address)),
      overrides,
    };
  } finally {
    await client.stop();
    await at.stop();
  }
}

const partitionOf = partitionFunction({ kind: "hash" }, PARTITIONS);

const headsOf = async (coordinator: string): Promise<string[]> =>
  chainNames(await partitionMapOf(coordinator)).map(([head]) => head!);

/** The unique keys of some draws. */
function batches(keyOf: Uint32Array): () => number[] {
  const random = seededRandom(1);
  const rankOf = zipfRanks(KEYS, EXPONENT);
  return () => [...new Set(Array.from({ length: DRAWS }, () => keyOf[rankOf(random.next()) % keyOf.length]!))];
}

/** By chance, but for the most popular ones: these begin on the node of the first partition. */
function keysByRank(heads: readonly string[]): Uint32Array {
  const keyOf = permutation(KEYS, seededRandom(2));
  const taken = new Set<number>();
  for (let rank = 0; rank < POPULAR; rank++) {
    const from = keyOf.findIndex((key, at) => {
      const partition = partitionOf(key, 0);
      return at >= rank && heads[partition] === heads[0] && !taken.has(partition);
    });
    const key = keyOf[from]!;
    taken.add(partitionOf(key, 0));
    keyOf[from] = keyOf[rank]!;
    keyOf[rank] = key;
  }
  return keyOf;
}

function keysOfOnePartition(): Uint32Array {
  return Uint32Array.from({ length: KEYS }, (_, key) => key).filter((key) => partitionOf(key, 0) === 0);
}

/** @param heads by partition */
export function busiestOverMean(operations: ArrayLike<number>, heads: readonly string[]): number {
  const busy = new Map<string, number>();
  heads.forEach((head, partition) => busy.set(head, (busy.get(head) ?? 0) + operations[partition]!));
  const loads = [...busy.values()];
  const mean = loads.reduce((sum, load) => sum + load, 0) / NODES;
  return Math.max(...loads) / mean;
}
