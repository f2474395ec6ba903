export { readColumns } from "./data/index.ts";
export { openDevice, probeDevices, type DeviceName, type DeviceReport, type OpenDevice } from "./device/index.ts";
export { startWorker, type RunningWorker, type WorkerOptions } from "./start-worker.ts";
