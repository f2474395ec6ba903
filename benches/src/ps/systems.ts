/**
 * The systems that are compared, each a server process with a table of its own, and the processes of its clients.
 * They are talked to over loopback TCP, and nothing is pinned to a core.
 */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import path from "node:path";
import { residentBytes, startCluster, usageOf } from "../processes/cluster.ts";
import { Child, memoryOf, nodeChild } from "../processes/child.ts";
import { ClientProcess } from "./client-process.ts";
import { expectedOfAdagrad, expectedOfStore, UPDATE, updateSpec, type ExpectedRows } from "./expected.ts";
import type { NativePrograms } from "./native.ts";
import type { VolaryClientRequest } from "./volary-client.ts";
import { openTables } from "./volary-rows.ts";
import type { Workload } from "./workload.ts";

/** Room for all tables of the bench in one WebAssembly memory: what frames bring is then where it is needed. */
const MEMORY = ["--memory-max", "4g"];

export interface System {
  readonly workload: Workload;
  readonly expected: ExpectedRows;
  /** Starts another client. */
  client(): Promise<ClientProcess>;
  /** Memory of the server process; undefined where the system does not tell. */
  residentBytes(): Promise<number | undefined>;
  stop(): Promise<void>;
}

/** A workload, and the file its batches are in. */
export interface SystemOptions {
  workload: Workload;
  batchesFile: string;
}

export interface VolarySystem extends System {
  /** What the node itself counts. */
  usage(): Promise<{ rows: number; bytes: number }>;
}

export async function startVolary({
  workload,
  batchesFile,
  fault,
  psArgs = MEMORY,
}: SystemOptions & Pick<VolaryClientRequest, "fault"> & { psArgs?: readonly string[] }): Promise<VolarySystem> {
  const cluster = await startCluster({ psArgs });
  const [node] = cluster.nodes;
  const { opened, close } = await openTables(cluster.address, [
    { id: 1, name: "bench", dim: workload.dim, initializer: { kind: "zeros" }, optimizer: updateSpec() },
  ]);
  const request: VolaryClientRequest = { opened, table: 0, batchesFile, fault };
  const file = path.join(import.meta.dirname, "volary-client.ts");
  return {
    workload,
    expected: expectedOfAdagrad(workload),
    client: () => ClientProcess.ready(nodeChild({ name: "volary's client", file, args: [JSON.stringify(request)] })),
    residentBytes: () => residentBytes(node!),
    usage: () => usageOf(node!),
    stop: async () => {
      close();
      await cluster.stop();
    },
  };
}

/** Redis 7 as a store of rows, persistence off. */
export async function startRedis(
  { workload, batchesFile }: SystemOptions,
  programs: NonNullable<NativePrograms["redis"]>,
): Promise<System> {
  const port = String(await freePort());
  const options = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const server = new Child({ name: "redis-server", program: programs.server, args: options, endsBy: "signal" });
  while (!(await server.nextLine()).includes("Ready to accept connections"));
  const args = [port, batchesFile, String(workload.dim)];
  return {
    workload,
    expected: expectedOfStore(workload),
    client: () => ClientProcess.ready(new Child({ name: "redis-client", program: programs.client, args })),
    residentBytes: async () => (await memoryOf(server.pid))?.now,
    stop: () => server.stop(),
  };
}

/** The server in C: see `native/floor-server.c`. */
export async function startFloor(
  { workload, batchesFile }: SystemOptions,
  programs: NonNullable<NativePrograms["floor"]>,
): Promise<System> {
  const { rows, dim } = workload;
  const args = [rows, dim, UPDATE.learningRate, UPDATE.epsilon, UPDATE.initialAccumulator].map(String);
  const server = new Child({ name: "floor-server", program: programs.server, args });
  const port = await server.nextLine();
  const clientArgs = [port, batchesFile, String(dim)];
  return {
    workload,
    expected: expectedOfAdagrad(workload),
    client: () => ClientProcess.ready(new Child({ name: "floor-client", program: programs.client, args: clientArgs })),
    residentBytes: async () => (await memoryOf(server.pid))?.now,
    stop: () => server.stop(),
  };
}

/** One that was free a moment ago: Redis does not take 0 for any. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
