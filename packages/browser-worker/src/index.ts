export { openDevice, type DeviceName, type OpenDevice, type OpenDeviceOptions } from "./device.ts";
export { startBrowserWorker, type BrowserWorkerOptions, type RunningBrowserWorker } from "./start-worker.ts";
export { tableDataset } from "./table-dataset.ts";
export type { PageMessage, WorkerMessage } from "./worker.ts";
