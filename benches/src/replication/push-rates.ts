/** How fast clients push to tables with replicas, next to tables without. */
import type { TableSpec } from "@volary/core/table";
import { startCluster, type BenchCluster } from "../processes/cluster.ts";
import { openTables, VolaryRows, type PlannedRows } from "../ps/volary-rows.ts";
import { keyWords, newWorkload } from "../ps/workload.ts";
import { ratios, type Spread } from "../report/statistics.ts";

const NODES = 2;
/** Batches of a client that are not answered yet: enough that nobody waits for a round trip. */
const UNDER_WAY = 6;
/** How often each batch is pushed in a round. */
const TIMES = 4;
/** Of a request of the slow client. */
const SLOW_ROWS = 16;
const TABLE: TableSpec = {
  id: 1,
  name: "rows",
  dim: 32,
  initializer: { kind: "zeros" },
  optimizer: { kind: "adagrad", learningRate: 0.05, initialAccumulator: 0.1, epsilon: 1e-7 },
};

export interface PushRates {
  /** Rows per second with two replicas over those with one, round by round. */
  ratio: Spread;
  replicated: number[];
  unreplicated: number[];
}

interface PushBatch {
  planned: PlannedRows;
  gradients: Float32Array;
}

/** A cluster of two nodes with a client that pushes whole batches, several under way at a time. */
class Contestant {
  readonly #cluster: BenchCluster;
  readonly #client: VolaryRows;
  readonly #batches: readonly PushBatch[];

  private constructor(o: { cluster: BenchCluster; client: VolaryRows; batches: readonly PushBatch[] }) {
    this.#cluster = o.cluster;
    this.#client = o.client;
    this.#batches = o.batches;
  }

  static async start(o: {
    replicas: number;
    batches: readonly Uint32Array[];
    requestRows?: number | undefined;
  }): Promise<Contestant> {
    const { replicas, requestRows } = o;
    const cluster = await startCluster({ ps: NODES, replicas, psArgs: ["--memory-max", "1g"] });
    const { opened } = await openTables(cluster.address, [TABLE]);
    const client = await VolaryRows.connect(opened);
    const batches = o.batches.map((indexes) => ({
      planned: client.plan(TABLE, keyWords(indexes), { requestRows }),
      gradients: new Float32Array(indexes.length * TABLE.dim).fill(0.01),
    }));
    return new Contestant({ cluster, client, batches });
  }

  /**
   * Pushes every batch some times.
   *
   * @param o.inTurn each request waits for the one before
   * @returns rows per second
   */
  async round({ inTurn }: { inTurn: boolean }): Promise<number> {
    this.#client.forgetKeyNames();
    const start = performance.now();
    let rows = 0;
    const underWay: Promise<void>[] = [];
    for (const { planned, gradients } of Array.from({ length: TIMES }, () => this.#batches).flat()) {
      rows += gradients.length / TABLE.dim;
      if (inTurn) {
        for (const request of planned.requests) {
          await this.#client.push({ ...planned, requests: [request] }, gradients);
        }
        continue;
      }
      underWay.push(this.#client.push(planned, gradients));
      if (underWay.length === UNDER_WAY) await underWay.shift();
    }
    await Promise.all(underWay);
    return (1000 * rows) / (performance.now() - start);
  }

  async stop(): Promise<void> {
    this.#client.close();
    await this.#cluster.stop();
  }
}

/**
 * Both clusters are up all the time and take turns; who begins a round changes.
 *
 * @param o.fault in a control, the client of the replicated tables waits for a few rows before it pushes the next
 */
export async function pushRates(o: {
  rows: number;
  draws: number;
  batches: number;
  rounds: number;
  fault?: "slow" | undefined;
}): Promise<PushRates> {
  const { batches } = newWorkload({ ...o, dim: TABLE.dim, seed: 1 });
  const slow = o.fault === "slow";
  const one = await Contestant.start({ replicas: 1, batches });
  const two = await Contestant.start({ replicas: 2, batches, requestRows: slow ? SLOW_ROWS : undefined });
  try {
    const [replicated, unreplicated]: [number[], number[]] = [[], []];
    // The first round makes the rows and does not count.
    for (let round = 0; round <= o.rounds; round++) {
      const turns = [
        async () => unreplicated.push(await one.round({ inTurn: false })),
        async () => replicated.push(await two.round({ inTurn: slow })),
      ];
      for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn();
    }
    replicated.shift();
    unreplicated.shift();
    return { ratio: ratios(replicated, unreplicated), replicated, unreplicated };
  } finally {
    await one.stop();
    await two.stop();
  }
}
