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
  cacheFolder,
  DeviceError,
  DEVICES,
  fastestOf,
  installTensorFlow,
  openDevice,
  parityOf,
  PARITY_MAX,
  probe,
  probeUsual,
  STANDARD_JOBS,
  standardJob,
  trialInput,
  trialWeights,
  withDevice,
  type DeviceName,
  type DeviceReport,
  type InstalledLibrary,
  type OpenDevice,
  type Parity,
  type TrialGradients,
  type TrialJob,
} from "./device/index.ts";
export { openNodeChannels, type NodeChannels } from "./group/node-channels.ts";
export { listenForPeers, wsDialer, type PeerPort, type PeerPortOptions } from "./peers.ts";
export { startWorker, type RunningWorker, type WorkerOptions } from "./start-worker.ts";
