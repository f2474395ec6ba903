/** One tfjs backend, as the worker sees it. */

export type DeviceName = "cuda" | "webgpu" | "tensorflow" | "wasm" | "cpu";

export interface Device {
  readonly name: DeviceName;
  /** The tfjs backend it registers. */
  readonly backend: string;
  /**
   * Registers the backend with tfjs.
   *
   * @returns what computes, for people
   * @throws {Error} why it cannot, and the command that mends it
   */
  open(): Promise<string>;
  /** Releases what would keep the process alive. */
  close?(): void;
}
