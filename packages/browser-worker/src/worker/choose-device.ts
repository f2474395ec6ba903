/** Opens the devices that may be the fastest here, and keeps the one whose probe was. */
import type { DeviceName } from "../device/device.ts";
import { DEVICE_NAMES, openDevice, returnTo, tryDevice } from "../device/open-device.ts";
import { fastestOf, probe, type Probe, type ProbeOptions } from "./probe.ts";

export interface ChooseOptions extends ProbeOptions {
  /** The only device that will do. */
  wanted?: DeviceName | undefined;
  without?: readonly DeviceName[] | undefined;
}

/**
 * Two ways to one GPU are compared; the processor is asked only where there is none, which saves the volunteer a download.
 *
 * @throws {Error} the device wanted does not work here, or none does
 */
export async function chooseDevice(o: ChooseOptions): Promise<Probe> {
  if (o.wanted !== undefined) return probe(await openDevice({ wanted: o.wanted }), o);
  const probes: (Probe & { loss: number })[] = [];
  for (const name of DEVICE_NAMES.filter((each) => !o.without?.includes(each))) {
    const isNeeded = name === "webgpu" || name === "webgl" || probes.length === 0;
    const device = isNeeded ? await tryDevice(name, o.log) : undefined;
    if (!device) continue;
    try {
      probes.push(await probe(device, o));
    } catch (error) {
      o.log(`${name} is not used: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const best = fastestOf(probes, o.log);
  if (!best) throw new Error("nothing in this browser computes what the job needs; the log says why");
  await returnTo(best.device);
  return best;
}
