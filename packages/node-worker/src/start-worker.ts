/** A worker process: device, data files, peers, and the session that training runs in. */
import { hostname } from "node:os";
import { columnsOf, openDataset, openStreamedDataset, type ColumnTable, type Dataset } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import { fieldDemands, labelDemandsOf, type JobManifest } from "@volary/core/job";
import { openModel } from "@volary/core/model";
import { Plugins } from "@volary/core/plugin";
import { WorkerSession, type GradientModel, type IceServer, type ReducerOptions } from "@volary/core/training";
import { connectWithBackoff, type Dialer, type Link } from "@volary/core/wire";
import { openData, versionOfFiles } from "./data/index.ts";
import type { DeviceName } from "./device/index.ts";
import { realClock } from "./clock.ts";
import { openNodeChannels, type NodeChannels } from "./group/node-channels.ts";
import { listenForPeers, wsDialer } from "./peers.ts";
import { openJobDevice } from "./probe/index.ts";

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
  /** What is sent to other machines need not be masked; by default only what stays on this one is not. */
  trustedNetwork?: boolean | undefined;
  /** Training functions that jobs may name, and whatever layers their files registered; none by default. */
  plugins?: Plugins;
  /** How volunteers may help: as many as there is room for unless said otherwise, with one update in twenty audited. */
  volunteers?: Partial<Omit<ReducerOptions, "auditSeed" | "groups">>;
  /** Volunteers of trusted jobs may form a group with this worker, over WebRTC where it can be had; by default they do not. */
  groups?: { iceServers?: readonly IceServer[] } | undefined;
  log?: (message: string) => void;
  /** Every link goes through it, dialed or accepted; tests of timing put delays here. */
  throughLink?: (link: Link) => Link;
  /** The model of every job goes through it; benches make it slow here. */
  throughModel?: (model: GradientModel) => GradientModel;
}

export interface RunningWorker {
  readonly address: string;
  readonly device: string;
  /** Of the dense optimizer's state on this worker, of the job under way if that trains in steps. */
  readonly stateBytes: number;
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
  const { log = () => {}, throughLink = (link) => link, throughModel = (model) => model } = o;
  const sockets = wsDialer({ trustedNetwork: o.trustedNetwork });
  const dialer: Dialer = { dial: async (address, hello) => throughLink(await sockets.dial(address, hello)) };
  const device = await openJobDevice(o.device, log);
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
  const channels = o.groups && (await channelsOrNone(log));
  const session = new WorkerSession({
    name,
    address: port.address,
    backend: `${device.name} (${device.description})`,
    coordinator: link,
    dialer,
    clock: realClock,
    openDataset: openDatasets({ baseDirs: o.baseDirs ?? [process.cwd()], log }),
    openModel: async (manifest) => {
      await device.useFor(manifest);
      return throughModel(device.throughModel(await openModel(manifest, o.plugins ?? Plugins.none)));
    },
    reducer: {
      leavesMax: 64,
      combine: "centered-clip",
      audit: 0.05,
      ...o.volunteers,
      auditSeed: crypto.getRandomValues(new Uint32Array(4)),
      groups: o.groups && { ...o.groups, dialer: channels?.dialer },
    },
    log,
  });
  current.session = session;
  const closed = session.closed.then(async (reason) => {
    await port.stop();
    channels?.close();
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
    get stateBytes() {
      return session.stateBytes;
    },
    closed,
    stop: async () => {
      session.stop();
      await closed;
    },
  };
}

/** Without WebRTC a group goes by the volunteers' links alone. */
async function channelsOrNone(log: (message: string) => void): Promise<NodeChannels | undefined> {
  try {
    return await openNodeChannels();
  } catch (error) {
    log(`${(error as Error).message}; volunteers' groups go by their WebSockets until then`);
    return undefined;
  }
}

/** Keeps the columns of the last job, so that the next job over the same columns does not parse its files again. */
function openDatasets(o: {
  baseDirs: readonly string[];
  log: (message: string) => void;
}): (manifest: JobManifest) => Promise<Dataset> {
  let last: { key: string; table: ColumnTable } | undefined;
  return async (manifest) => {
    const { data: spec, seed } = manifest;
    const demands = fieldDemands(manifest);
    const labelDemands = (labelWidth: number) => labelDemandsOf(manifest, labelWidth);
    const columns = columnsOf(spec);
    const files = [...spec.files, ...(spec.test?.kind === "files" ? spec.test.files : [])];
    const key = JSON.stringify([spec.format, spec.files, columns, await versionOfFiles(files, o.baseDirs)]);
    if (last?.key !== key) {
      last = undefined;
      const opened = await openData(spec, { ...o, columns });
      if (opened.kind === "stream")
        return openStreamedDataset({ spec, source: opened.source, demands, seed, labelDemands });
      last = { key, table: opened.table };
    }
    return openDataset({ spec, table: last.table, demands, seed, labelDemands });
  };
}
