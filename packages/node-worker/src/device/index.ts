export { cacheFolder } from "./library/cache-folder.ts";
export { DeviceError, type Device, type DeviceName } from "./device.ts";
export { DEVICES, openDevice, type OpenDevice } from "./devices.ts";
export { installTensorFlow, type InstalledLibrary } from "./install/install-tensorflow.ts";
export { withDevice } from "./with-device.ts";
