/**
 * One worker process for each NVIDIA GPU: TensorFlow.js computes on one GPU, the first that its process sees.
 *
 * What happens when one dies: it is said, and the others go on; when none is left, this process ends, too.
 */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { ChildRole } from "./child-role.ts";
import { childExecArgv } from "./local-cluster.ts";
import { runRole } from "./role-process.ts";

export interface GpuWorkers {
  /** As nvidia-smi numbers them. */
  gpus: readonly number[];
  /** Of the workers, before the GPU's number. */
  name: string;
  /** Of the first worker; the others take the next ones, or all a free one where it is 0. */
  port: number;
  /** What `volary worker` was told. */
  args: readonly string[];
}

/** Runs the workers until a signal or the end of the last. */
export async function runPerGpu({ gpus, name, port, args }: GpuWorkers): Promise<never> {
  return runRole({
    name,
    mode: args.includes("--machine") ? "machine" : "person",
    start: async (log) => {
      const children = gpus.map((gpu, i) => {
        const own = ["--name", `${name}-gpu${gpu}`, "--port", String(port === 0 ? 0 : port + i), "--device", "cuda"];
        return new ChildRole({
          role: "worker",
          name: `${name}-gpu${gpu}`,
          command: [...thisProgram(), "worker", "--machine", ...withoutDevices(args), ...own],
          env: { CUDA_VISIBLE_DEVICES: String(gpu) },
          log: ({ line }) => log(line),
        });
      });
      try {
        const [first] = await Promise.all(children.map((child) => child.ready()));
        const ends = children.map(async (child) => {
          const { how, wasAsked } = await child.ended;
          if (!wasAsked) log(`${child.name} ended (${how}); the other workers go on`);
        });
        return {
          ready: first!,
          announcement: `${children.length} workers ${name}-gpu… on GPUs ${gpus.join(", ")}; Ctrl-C ends them`,
          stop: async () => {
            await Promise.all(children.map((child) => child.stop()));
          },
          closed: Promise.all(ends).then(() => "all its workers have ended"),
        };
      } catch (error) {
        await Promise.all(children.map((child) => child.stop()));
        throw error;
      }
    },
  });
}

function thisProgram(): string[] {
  const extension = extname(import.meta.url);
  const main = fileURLToPath(new URL(`../main${extension}`, import.meta.url));
  return [process.execPath, ...childExecArgv(process.execArgv, { fromSource: extension === ".ts" }), main];
}

/** A worker that was told them would start workers of its own. */
export function withoutDevices(args: readonly string[]): string[] {
  return args.filter(
    (arg, i) =>
      arg !== "--machine" && !arg.startsWith("--devices=") && arg !== "--devices" && args[i - 1] !== "--devices",
  );
}
