/** A worker process: device, data files, peers, and the session that training runs in. */
import { hostname } from "node:os";
import { openDataset, columnsOf, type ColumnTable } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import { fieldDemands, type JobManifest } from "@volary/core/job";
import { TrainingModel } from "@volary/core/model";
import { WorkerSession } from "@volary/core/training";
import { connectWithBackoff, type Dialer, type Link } from "@volary/core/wire";
import { readColumns } from "./data/index.ts";
import { openDevice, type DeviceName } from "./device/index.ts";
import { realClock } from "./clock.ts";
import { dialer as wsDialer, listenForPeers } from "./peers.ts";

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
  /** Every link goes through it, dialed or accepted; tests of timing put delays here. */
  throughLink?: (link: Link) => Link;
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
  const { log = () => {}, throughLink = (link) => link } = o;
  const dialer: Dialer = { dial: async (address, hello) => throughLink(await wsDialer.dial(address, hello)) };
  const device = await openDevice(o.device);
  const name = o.name ?? `${hostname()}-${process.pid}`;
  // Peers may knock before the coordinator has answered.
  const current: { session?: WorkerSession } = {};
  const port = await listenForPeers({
    host: o.host ?? "127.0.0.1",
    port: o.port ?? 0,
    name,
    refuse: (hello) =>
      current.session
        ? current.session.refusePeer(hello)
        : { code: "NOT_A_MEMBER", message: `worker ${name} is starting` },
    log,
    accept: (hello, link) =>
      current.session ? current.session.acceptPeer(hello, throughLink(link)) : link.close("the worker is starting"),
  });
  let link: Link;
  try {
    link = await connectWithBackoff({
      dialer,
      address: o.coordinator,
      hello: { role: "worker", name },
      clock: realClock,
      random: Math.random,
      log,
    });
  } catch (error) {
    await port.stop();
    throw error;
  }
  const tables = columnCache(o.baseDirs ?? [process.cwd()]);
  const session = new WorkerSession({
    name,
    address: port.address,
    backend: `${device.name} (${device.description})`,
    coordinator: link,
    dialer,
    clock: realClock,
    openDataset: async (manifest) =>
      openDataset({ spec: manifest.data, table: await tables(manifest), demands: fieldDemands(manifest) }),
    openModel: async (manifest) => TrainingModel.create(manifest.model, manifest.compile.loss),
    log,
  });
  current.session = session;
  const closed = session.closed.then(async (reason) => {
    await port.stop();
    device.close();
    return reason;
  });
  const refused = closed.then((reason) => {
    throw new ClusterError("COORDINATOR_UNAVAILABLE", `${o.coordinator} did not let worker ${name} join: ${reason}`);
  });
  await Promise.race([session.joined, refused]);
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
