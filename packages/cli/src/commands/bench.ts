/** `volary bench`: forwards to the benches of a checkout. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import path from "node:path";
import { Command } from "commander";
import { example } from "../options.ts";
import { UserError } from "../user-error.ts";

const SCRIPT = "scripts/bench.mjs";

export function benchCommand(): Command {
  return new Command("bench")
    .description("run a bench of a Volary checkout; without a name, list them")
    .argument("[name-and-options...]", "passed on, as in `npm run bench -- NAME --json`")
    .passThroughOptions()
    .allowUnknownOption()
    .addHelpText("after", example("volary bench ps --json"))
    .action(run);
}

async function run(args: string[]): Promise<void> {
  const root = [import.meta.dirname, process.cwd()].map(checkoutAbove).find((found) => found !== undefined);
  if (root === undefined) {
    throw new UserError(
      `volary bench needs a checkout of Volary, and neither ${process.cwd()} nor this installation lies in one; clone the repository and run \`npm run bench\` there`,
    );
  }
  const child = spawn(process.execPath, [path.join(root, SCRIPT), ...args], { stdio: "inherit" });
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 1;
}

/** The nearest folder upwards that has benches to run. */
export function checkoutAbove(folder: string): string | undefined {
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    if (existsSync(path.join(at, SCRIPT)) && existsSync(path.join(at, "benches"))) return at;
    if (at === path.dirname(at)) return undefined;
  }
}
