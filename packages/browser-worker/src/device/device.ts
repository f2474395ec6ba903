/** What every device of a tab has: a tfjs backend, and a word on whether it can still be trusted. */

/** Each is also tfjs's name of the backend. */
export type DeviceName = "webgpu" | "webgl" | "wasm" | "cpu";

export interface OpenDevice {
  readonly name: DeviceName;
  /** What computes, for people. */
  readonly description: string;
  /** Why nothing it computes can be trusted any more, once that is so. */
  lost(): string | undefined;
  /** Resolves then, with the same words. What was computing may never end. */
  readonly whenLost: Promise<string>;
}

export interface Device {
  readonly name: DeviceName;
  /**
   * Registers the backend with tfjs. A processor may stand in for a GPU only where that is asked for by name.
   *
   * @throws {Error} why it cannot be used here
   */
  load(asked: { byName: boolean }): Promise<void>;
  /** Looks at the backend once it runs. */
  inspect(): Omit<OpenDevice, "name">;
}

/** The processor stays. */
export const NEVER_LOST = { lost: () => undefined, whenLost: new Promise<string>(() => {}) };

export const HALF_PRECISION = "it computes in 16-bit floats, which would spoil the gradients of every worker";

/** Names of what draws, where the processor does. */
export const SOFTWARE_RENDERER = /swiftshader|llvmpipe|lavapipe|software|basic render/i;
