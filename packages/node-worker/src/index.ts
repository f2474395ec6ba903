export { realClock } from "./clock.ts";
export {
  DISTINCT_MAX,
  inspectFile,
  openData,
  readColumns,
  type ColumnReport,
  type FileReport,
  type OpenDataOptions,
  type OpenedData,
} from "./data/index.ts";
export {
  openDevice,
  probeDevices,
  withDevice,
  type DeviceName,
  type DeviceReport,
  type OpenDevice,
} from "./device/index.ts";
export { listenForPeers, wsDialer, type PeerPort, type PeerPortOptions } from "./peers.ts";
export { startWorker, type RunningWorker, type WorkerOptions } from "./start-worker.ts";
