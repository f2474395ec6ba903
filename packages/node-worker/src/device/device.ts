/** One tfjs backend, as the worker sees it. */
import type { GradientModel } from "@volary/core/training";

export type DeviceName = "cuda" | "webgpu" | "tensorflow" | "wasm" | "cpu";

export interface Device {
  readonly name: DeviceName;
  /** The tfjs backend it registers. */
  readonly backend: string;
  /**
   * What this machine lacks for it, as far as that is seen without loading anything, and the command that mends it;
   * undefined where it may work.
   */
  missing?(): string | undefined;
  /**
   * Registers the backend with tfjs.
   *
   * @param how.asked by name; what would be slower than other devices is refused where it was not
   * @returns what computes, for people
   * @throws {Error} why it cannot, and the command that mends it
   */
  open(how: { asked: boolean }): Promise<string>;
  /** What a job's model goes through, where the device must be made ready for its steps. */
  throughModel?(model: GradientModel): GradientModel;
  /** Releases what would keep the process alive. */
  close?(): void;
}

/** A device that was asked for does not work here. The message says what is missing, and what mends it. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
  /** Of a command that was told to use the device: as for any option that cannot be met. */
  readonly exitCode = 2;
}
