export type { DeviceName, OpenDevice } from "./device/device.ts";
export { openDevice, type OpenDeviceOptions } from "./device/open-device.ts";
export type { PageMessage, WorkerMessage } from "./worker/messages.ts";
