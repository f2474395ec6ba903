/**
 * How much memory a PS node takes when nobody says: three quarters of what the machine has, or of what the container
 * may use where that is less. The rest is for the system and its page cache, through
 * which spilled rows are read.
 */
import { totalmem } from "node:os";

const SHARE = 3 / 4;

/** In bytes; whole pages of 64 KiB. */
export function defaultMemoryMax(): number {
  return memoryMaxOf({ machineBytes: totalmem(), constrainedBytes: process.constrainedMemory() });
}

/** @param o.constrainedBytes of the control group; 0, or more than the machine has, where it has no limit */
export function memoryMaxOf(o: { machineBytes: number; constrainedBytes: number }): number {
  const limited = o.constrainedBytes > 0 && o.constrainedBytes < o.machineBytes;
  const bytes = SHARE * (limited ? o.constrainedBytes : o.machineBytes);
  return Math.floor(bytes / 65_536) * 65_536;
}
