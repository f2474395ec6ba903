/** A worker in a browser: device, links, and the session that training runs in. Most of it is core's. */
import type { Dataset } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { TrainingModel } from "@volary/core/model";
import { WorkerSession } from "@volary/core/training";
import { connectWithBackoff } from "@volary/core/wire";
import { realClock } from "./clock.ts";
import { openDevice, type DeviceName, type OpenDevice } from "./device.ts";
import { browserDialer } from "./dial.ts";
import { functionRefusal } from "./function-refusal.ts";
import { watchedModel } from "./watched-model.ts";

export interface BrowserWorkerOptions {
  /** wss://host, or ws://host:port, of the coordinator. */
  coordinator: string;
  /** For people. */
  name: string;
  /** The only device that will do; by default the fastest that works. */
  device?: DeviceName | undefined;
  /**
   * The rows of a job. A tab has no files to read `manifest.data.file` from, so for now whoever starts the worker
   * hands them in; they must be those the job's other workers see, and the coordinator compares fingerprints.
   */
  openDataset(manifest: JobManifest): Promise<Dataset>;
  log?: ((message: string) => void) | undefined;
}

export interface RunningBrowserWorker {
  readonly device: OpenDevice;
  /** Resolves with the reason once the worker has left the cluster. */
  readonly closed: Promise<string>;
  stop(): void;
}

/** Characters of a device's description that the coordinator is told. */
const BACKEND_CHARS_MAX = 200;

/**
 * Starts a worker in this tab or Web Worker and joins the coordinator.
 *
 * No other worker can dial a tab, and the younger of two dials: it must be the youngest of its job, and the only tab.
 *
 * @throws {ClusterError} COORDINATOR_UNAVAILABLE after retries with backoff, PROTOCOL_VERSION
 * @throws {TypeError} an address that a browser cannot dial
 * @throws {Error} the device asked for does not work here
 */
export async function startBrowserWorker(o: BrowserWorkerOptions): Promise<RunningBrowserWorker> {
  const { coordinator, name, log = () => {} } = o;
  const dialer = browserDialer();
  const device = await openDevice({ wanted: o.device, log });
  const link = await connectWithBackoff({
    dialer,
    address: coordinator,
    hello: { role: "worker", name },
    clock: realClock,
    random: Math.random,
    log,
  });
  const leave = (reason: string): void => {
    log(`leaving the cluster: ${reason}`);
    session.stop();
  };
  const session = new WorkerSession({
    name,
    address: "",
    backend: `${device.name} (${device.description})`.slice(0, BACKEND_CHARS_MAX),
    coordinator: link,
    dialer,
    clock: realClock,
    openDataset: (manifest) => o.openDataset(manifest),
    openModel: async (manifest) => {
      const refusal = functionRefusal(manifest);
      // To leave costs the job nothing; to fail here would end it for its other workers too.
      if (refusal) {
        leave(refusal.message);
        throw refusal;
      }
      return watchedModel(await TrainingModel.create(manifest), { device, leave });
    },
    log,
  });
  void device.whenLost.then(leave);
  return { device, closed: session.closed, stop: () => session.stop() };
}
