/**
 * The entry of the dedicated Web Worker that trains, so that its page stays responsive. The page posts a
 * {@link PageMessage}, the worker answers with {@link WorkerMessage}s; terminating the worker stops it at once.
 */
import type { ColumnTable } from "@volary/core/data";
import type { DeviceName } from "./device.ts";
import { startBrowserWorker, type RunningBrowserWorker } from "./start-worker.ts";
import { tableDataset } from "./table-dataset.ts";

/** What a page posts to its Web Worker. */
export type PageMessage =
  /** `table` holds the columns of the jobs' data; a function that reads them could not be posted. */
  { type: "start"; coordinator: string; name: string; device?: DeviceName; table: ColumnTable } | { type: "stop" };

/** What the Web Worker posts back. */
export type WorkerMessage =
  | { type: "started"; device: DeviceName; description: string }
  | { type: "log"; message: string }
  /** The last one, whether the worker started or not. */
  | { type: "stopped"; reason: string };

let running: Promise<RunningBrowserWorker> | undefined;

addEventListener("message", ({ data }: MessageEvent<PageMessage>) => {
  switch (data.type) {
    case "start":
      if (running)
        tell({ type: "log", message: "this Web Worker was started before; make a new one for another start" });
      else void run(data);
      break;
    case "stop":
      running?.then((worker) => worker.stop(), ignore);
      break;
    default:
      data satisfies never;
  }
});

async function run({ coordinator, name, device, table }: PageMessage & { type: "start" }): Promise<void> {
  running = startBrowserWorker({
    coordinator,
    name,
    device,
    openDataset: async (manifest) => tableDataset(manifest, table),
    log: (message) => tell({ type: "log", message }),
  });
  try {
    const worker = await running;
    tell({ type: "started", device: worker.device.name, description: worker.device.description });
    tell({ type: "stopped", reason: await worker.closed });
  } catch (error) {
    tell({ type: "stopped", reason: error instanceof Error ? error.message : String(error) });
  }
  close(); // whatever still computes, or waits for a lost device, ends here
}

function tell(message: WorkerMessage): void {
  postMessage(message);
}

const ignore = (): void => {};
