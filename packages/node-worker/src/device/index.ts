export { DEVICES, openDevice, probeDevices, type Device, type DeviceName, type DeviceReport, type OpenDevice } from "./device.ts";
