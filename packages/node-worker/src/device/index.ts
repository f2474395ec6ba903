export type { Device, DeviceName } from "./device.ts";
export { DEVICES, openDevice, probeDevices, type DeviceReport, type OpenDevice } from "./devices.ts";
export { withDevice } from "./with-device.ts";
