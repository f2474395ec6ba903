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
  DeviceError,
  DEVICES,
  installTensorFlow,
  openDevice,
  withDevice,
  type DeviceName,
  type InstalledLibrary,
  type OpenDevice,
} from "./device/index.ts";
export { listenForPeers, wsDialer, type PeerPort, type PeerPortOptions } from "./peers.ts";
export {
  fastestOf,
  parityOf,
  PARITY_MAX,
  probe,
  probeUsual,
  STANDARD_JOBS,
  standardJob,
  trialInput,
  trialWeights,
  type DeviceReport,
  type Parity,
  type TrialGradients,
  type TrialJob,
} from "./probe/index.ts";
export { startWorker, type RunningWorker, type WorkerOptions } from "./start-worker.ts";
