/**
 * A node under a stream of keys that it has never seen, long after its memory is full. Each push of new keys must then
 * be refused in words that help, and the rows that are there must be served on.
 */
import { ClusterError } from "@volary/core/errors";
import { memoryOf } from "../processes/child.ts";
import { startCluster, usageOf } from "../processes/cluster.ts";
import { updateSpec } from "../ps/expected.ts";
import { openTables, VolaryRows } from "../ps/volary-rows.ts";
import { keyWords } from "../ps/workload.ts";

/** Of one push, and of the rows that are read now and then. */
const PUSH_ROWS = 16_384;
const SAMPLE_EVERY_MS = 200;

export interface KeyStreamOptions {
  /** What the node is held to. */
  memoryMax: number;
  /** What the node is told. */
  toldMax: number;
  /** At least, and until a push was refused. */
  minutes: number;
  dim: number;
}

export interface KeyStreamFigures {
  /** By how much the process grew at most, rows, frames and all, over the limit. */
  residentOverLimit: number;
  pushesTaken: number;
  pushesRefused: number;
  /** Every refusal was of code LIMIT_EXCEEDED and names options that help. */
  refusalsNameRemedies: boolean;
  /** After each refusal the first rows were there, and took another push. */
  servedThroughout: boolean;
}

export async function streamNewKeys({ memoryMax, toldMax, minutes, dim }: KeyStreamOptions): Promise<KeyStreamFigures> {
  const cluster = await startCluster({ psArgs: ["--memory-max", `${Math.ceil(toldMax / 2 ** 20)}m`] });
  const [node] = cluster.nodes;
  const resident = async (): Promise<number> => (await memoryOf(node!.child.pid))?.now ?? 0;
  const without = await resident();
  let most = 0;
  const sample = async (): Promise<void> => {
    most = Math.max(most, await resident());
  };
  const sampling = setInterval(() => void sample(), SAMPLE_EVERY_MS);
  try {
    const table = { id: 1, name: "stream", dim, initializer: { kind: "zeros" }, optimizer: updateSpec() } as const;
    const { opened, close } = await openTables(cluster.address, [table]);
    const client = await VolaryRows.connect(opened);
    const gradients = new Float32Array(PUSH_ROWS * dim).fill(1);
    const planned = (push: number) =>
      client.plan(table, keyWords(Uint32Array.from({ length: PUSH_ROWS }, (_, i) => push * PUSH_ROWS + i)));
    const first = planned(0);
    await client.push(first, gradients);
    const rows = new Float32Array(PUSH_ROWS * dim);

    const figures = { pushesTaken: 1, pushesRefused: 0, refusalsNameRemedies: true, servedThroughout: true };
    const until = performance.now() + minutes * 60_000;
    for (let push = 1; performance.now() < until || figures.pushesRefused === 0; push++) {
      try {
        await client.push(planned(push), gradients);
        figures.pushesTaken++;
        continue;
      } catch (error) {
        if (!(error instanceof ClusterError)) throw error;
        figures.pushesRefused++;
        const says = (words: string): boolean => error.message.includes(words);
        const helps = error.code === "LIMIT_EXCEEDED" && says("--memory-max") && says("--spill");
        if (!helps && figures.refusalsNameRemedies) console.error(`a refusal of little help: ${error.message}`);
        figures.refusalsNameRemedies &&= helps;
      }
      await client.pull(first, rows);
      const before = rows[0]!;
      await client.push(first, gradients);
      await client.pull(first, rows);
      // Every gradient is 1, so each push makes every weight of these rows smaller.
      figures.servedThroughout &&= rows.every((weight) => weight === rows[0]) && rows[0]! < before;
    }
    await sample();
    const usage = await usageOf(node!);
    console.error(
      `limit ${(memoryMax / 1e6).toFixed(0)} MB: resident memory grew from ${(without / 1e6).toFixed(0)} MB to ${(most / 1e6).toFixed(0)} MB at most, ` +
        `${usage.rows} rows of ${(usage.bytes / 1e6).toFixed(0)} MB; ` +
        `${figures.pushesTaken} pushes of new keys taken, ${figures.pushesRefused} refused`,
    );
    client.close();
    close();
    return { residentOverLimit: (most - without) / memoryMax, ...figures };
  } finally {
    clearInterval(sampling);
    await cluster.stop();
  }
}
