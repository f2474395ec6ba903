/**
 * A coordinator, parameter servers and workers as an operator starts them: `volary coordinator`, `volary ps` and
 * `volary worker`, on loopback.
 */
import { fileURLToPath } from "node:url";
import path from "node:path";
import { memoryOf, nodeChild, type Child } from "./child.ts";

export interface BenchCluster {
  /** Of the coordinator. */
  readonly address: string;
  /** Those that were started first. */
  readonly nodes: readonly PsProcess[];
  /** One more PS node, which has joined. */
  startPs(name: string): Promise<PsProcess>;
  stop(): Promise<void>;
}

export interface PsProcess {
  readonly child: Child;
  readonly address: string;
}

/** What a PS node says of itself at `/metrics`. */
export interface PsUsage {
  rows: number;
  bytes: number;
}

const HOST = "127.0.0.1";

/**
 * @param replicas PS nodes that hold each row
 * @param psArgs options of each `volary ps`, beside where it is
 */
export async function startCluster({
  ps = 1,
  workers = 0,
  replicas = 1,
  psArgs = [],
}: {
  ps?: number;
  workers?: number;
  replicas?: number;
  psArgs?: readonly string[];
} = {}): Promise<BenchCluster> {
  const started: Child[] = [];
  const start = async (role: string, name: string, args: readonly string[]): Promise<PsProcess> => {
    const child = nodeChild({ name, file: mainOfVolary(), args: [role, "--machine", "--host", HOST, ...args] });
    started.push(child);
    const { ready } = await child.nextObject<{ ready: { address: string } }>();
    return { child, address: ready.address };
  };
  const stop = async (): Promise<void> => {
    for (const child of started.toReversed()) await child.stop();
  };
  try {
    const { address } = await start("coordinator", "coordinator", ["--port", "0", "--replicas", String(replicas)]);
    const startPs = (name: string) => start("ps", name, ["--coordinator", address, "--name", name, ...psArgs]);
    const startWorker = (name: string) =>
      start("worker", name, ["--coordinator", address, "--name", name, "--device", "cpu"]);
    const nodes = await Promise.all(names("ps", ps).map(startPs));
    await Promise.all(names("worker", workers).map(startWorker));
    return { address, nodes, startPs, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const names = (role: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${role}-${i + 1}`);

export async function usageOf({ address }: PsProcess): Promise<PsUsage> {
  const metrics = await metricsOf(address);
  return { rows: metrics.get("volary_ps_rows")!, bytes: metrics.get("volary_ps_bytes")! };
}

/** Every number that a PS node tells Prometheus. */
export async function metricsOf(address: string): Promise<Map<string, number>> {
  const { host } = new URL(address);
  const text = await (await fetch(`http://${host}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.split(/[ {]/)[0]!, Number(line.split(" ").at(-1))]));
}

export const residentBytes = async ({ child }: PsProcess): Promise<number | undefined> =>
  (await memoryOf(child.pid))?.now;

/** The file behind the command, from source or built, as this process runs. */
function mainOfVolary(): string {
  const index = fileURLToPath(import.meta.resolve("volary"));
  return path.join(path.dirname(index), `main${path.extname(index)}`);
}
