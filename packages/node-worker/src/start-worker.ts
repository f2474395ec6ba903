/** A worker process: device, data files, peers, and the session that training runs in. */
import { hostname } from "node:os";
import { openDataset, columnsOf, type ColumnTable, type FieldDemand } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { TrainingModel } from "@volary/core/model";
import { WorkerSession } from "@volary/core/training";
import type { Link } from "@volary/core/wire";
import { readColumns } from "./data/index.ts";
import { openDevice, type DeviceName } from "./device/index.ts";
import { realClock } from "./clock.ts";
import { dialer, listenForPeers } from "./peers.ts";

export interface WorkerOptions {
  /** ws://host:port of the coordinator */
  coordinator: string;
  host?: string;
  /** Port for other workers; 0 takes a free one. */
  port?: number;
  name?: string;
  device?: DeviceName;
  /** Folders that relative data files and npm packages are looked for in. */
  baseDirs?: readonly string[];
  log?: (message: string) => void;
}

export interface RunningWorker {
  readonly address: string;
  readonly device: string;
  /** Resolves with the reason once the worker has left the cluster. */
  readonly closed: Promise<string>;
  stop(): Promise<void>;
}

/**
 * Starts a worker and joins the coordinator.
 *
 * @throws {ClusterError} COORDINATOR_UNAVAILABLE after retries with backoff, ADDRESS_IN_USE, PROTOCOL_VERSION
 * @throws {Error} the device asked for does not work here
 */
export async function startWorker(o: WorkerOptions): Promise<RunningWorker> {
  const log = o.log ?? (() => {});
  const device = await openDevice(o.device);
  const name = o.name ?? `${hostname()}-${process.pid}`;
  let session: WorkerSession | undefined;
  const port = await listenForPeers({
    host: o.host ?? "127.0.0.1",
    port: o.port ?? 0,
    name,
    refuse: (hello) => session?.refusePeer(hello) ?? (session ? undefined : { code: "NOT_A_MEMBER", message: `worker ${name} is starting` }),
    accept: (hello, link) => (session ? session.acceptPeer(hello, link) : link.close("the worker is starting")),
  });
  let link: Link;
  try {
    link = await dialWithBackoff({ address: o.coordinator, name, log });
  } catch (error) {
    await port.stop();
    throw error;
  }
  const tables = columnCache(o.baseDirs ?? [process.cwd()]);
  session = new WorkerSession({
    name,
    address: port.address,
    backend: `${device.name} (${device.description})`,
    coordinator: link,
    dialer,
    clock: realClock,
    openDataset: async (manifest) => openDataset({ spec: manifest.data, table: await tables(manifest), demands: demandsOf(manifest) }),
    openModel: async (manifest) => TrainingModel.create(manifest.model, manifest.compile.loss),
    log,
  });
  const closed = session.closed.then(async (reason) => {
    await port.stop();
    device.close();
    return reason;
  });
  return {
    address: port.address,
    device: device.name,
    closed,
    stop: async () => {
      session.stop();
      await closed;
    },
  };
}

/** What the model wants of each field. */
function demandsOf({ model }: JobManifest): FieldDemand[] {
  const keys = new Set(model.embeddings.map((use) => use.field));
  return [...Array.from(keys, (name) => ({ name, as: "keys" as const })), ...model.numbers.map(({ field }) => ({ name: field, as: "numbers" as const }))];
}

/** The columns of the last job's file, so that the next job over the same columns does not parse it again. */
function columnCache(baseDirs: readonly string[]): (manifest: JobManifest) => Promise<ColumnTable> {
  let last: { key: string; table: ColumnTable } | undefined;
  return async ({ data }) => {
    const columns = columnsOf(data);
    const key = JSON.stringify([data.format, data.file, columns]);
    if (last?.key !== key) {
      last = undefined;
      last = { key, table: await readColumns(data, { baseDirs, columns }) };
    }
    return last.table;
  };
}

async function dialWithBackoff({ address, name, log }: { address: string; name: string; log: (message: string) => void }): Promise<Link> {
  let waitMs: number = LIMITS.connectBackoffMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await dialer.dial(address, { role: "worker", name });
    } catch (error) {
      const retryable = error instanceof ClusterError && error.retryable;
      if (!retryable) throw error;
      if (attempt === LIMITS.connectAttemptsMax) {
        throw new ClusterError("COORDINATOR_UNAVAILABLE", `no coordinator at ${address} after ${attempt} attempts; is it running? start one with \`volary coordinator\``, { cause: error });
      }
      log(`no coordinator at ${address} yet, trying again in ${Math.round(waitMs)} ms`);
      await new Promise<void>((resolve) => void realClock.after(waitMs, resolve));
      waitMs = Math.min(waitMs * 2, LIMITS.connectBackoffMaxMs) * (0.8 + 0.4 * Math.random());
    }
  }
}
