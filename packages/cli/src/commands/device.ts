/** `volary device install`: brings the native library that a device needs. */
import { Argument, Command } from "commander";
import { example } from "../options.ts";

export function deviceCommand(): Command {
  const install = new Command("install")
    .description(
      "build TensorFlow's library for this machine: a download, and a minute; no root is needed, Linux x64 alone",
    )
    .addArgument(new Argument("<library>", "what to install").choices(["tensorflow"]))
    .option("--gpu", "for NVIDIA GPUs, with its CUDA libraries: --device cuda (8 GB of disk while it installs)")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      "\nIt needs Python's pip, npm and a C++ compiler. It goes to the user's cache folder, or to VOLARY_DEVICES.\n" +
        example("volary device install tensorflow", "volary device install tensorflow --gpu"),
    )
    .action((_library: "tensorflow", options: Options) => run(options));
  return new Command("device")
    .description("install what devices need")
    .addCommand(install)
    .addHelpText("after", example("volary device install tensorflow"));
}

interface Options {
  gpu?: true;
  json?: true;
}

async function run({ gpu, json }: Options): Promise<void> {
  const { installTensorFlow } = await import("@volary/node-worker");
  const began = performance.now();
  const log = json ? () => undefined : (line: string) => console.log(line);
  const library = await installTensorFlow({ kind: gpu ? "gpu" : "cpu", log });
  const seconds = (performance.now() - began) / 1000;
  if (json) console.log(JSON.stringify({ ...library, seconds }));
  else console.log(installedText(library, { gpu: gpu === true, seconds }));
}

interface Installed {
  version: string;
  onGpu: boolean;
  folder: string;
  wasThere: boolean;
}

export function installedText(
  { version, onGpu, folder, wasThere }: Installed,
  { gpu, seconds }: { gpu: boolean; seconds: number },
): string {
  const done = wasThere ? "is there already, and computes" : `is installed, in ${seconds.toFixed(0)} s`;
  const use = gpu ? "--device cuda" : "--device tensorflow";
  const unseen = "it found no GPU here, so that part was not tried; volary doctor says more where there is one";
  return [
    `TensorFlow ${version} ${done}: ${folder}`,
    gpu && !onGpu ? unseen : `${use} uses it; volary doctor shows how fast it is here`,
  ].join("\n");
}
