/** TensorFlow's library on an NVIDIA GPU. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Device } from "./device.ts";
import { missingLibrary, openLibrary } from "./library/load-library.ts";

/** NVIDIA's libraries read it when they are loaded: 0 forbids TF32, whatever else is set. */
const TF32 = "NVIDIA_TF32_OVERRIDE";

export const cuda: Device = {
  name: "cuda",
  backend: "tensorflow",
  missing,
  open: async () => {
    // From Ampere on, products of matrices would be of numbers rounded to 10 bits (NVIDIA's "Accelerating AI Training
    // with NVIDIA TF32 Tensor Cores"), which is half of what `PARITY_MAX` takes.
    process.env[TF32] ??= "0";
    const { version, onGpu } = await openLibrary("gpu");
    // The library says nothing of it: it computes on the CPU.
    if (!onGpu) {
      throw new Error(
        `TensorFlow ${version} finds no GPU that it can use; nvidia-smi must list one, the driver be 525 or newer, and ` +
          `CUDA_VISIBLE_DEVICES not hide it; TF_CPP_MIN_LOG_LEVEL=0 shows why`,
      );
    }
    return `TensorFlow ${version}, CUDA, ${gpuModels()}`;
  },
};

function missing(): string | undefined {
  const hasDriver = existsSync("/proc/driver/nvidia/version") || existsSync("/dev/nvidiactl");
  return hasDriver ? missingLibrary("gpu") : "no NVIDIA driver on this machine; install it, or use --device wasm";
}

const GPUS = "/proc/driver/nvidia/gpus";

/** As the driver names them. */
function gpuModels(): string {
  try {
    const models = readdirSync(GPUS).map((gpu) =>
      /^Model:\s*(.+)$/m.exec(readFileSync(`${GPUS}/${gpu}/information`, "utf8")),
    );
    return [...new Set(models.map((model) => model?.[1] ?? "NVIDIA GPU"))].join(", ");
  } catch {
    return "NVIDIA GPU";
  }
}
