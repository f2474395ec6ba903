/** The `volary` command: its subcommands, and how wrong usage is answered. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { benchCommand } from "./commands/bench.ts";
import { coordinatorCommand } from "./commands/coordinator.ts";
import { dataCommand } from "./commands/data.ts";
import { deviceCommand } from "./commands/device.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { drainCommand } from "./commands/drain.ts";
import { gatewayCommand } from "./commands/gateway.ts";
import { inviteCommand } from "./commands/invite.ts";
import { predictCommand } from "./commands/predict.ts";
import { psCommand } from "./commands/ps.ts";
import { statusCommand } from "./commands/status.ts";
import { trainCommand } from "./commands/train.ts";
import { upCommand } from "./commands/up.ts";
import { workerCommand } from "./commands/worker.ts";
import { example } from "./options.ts";
import { oneLine } from "./user-error.ts";

export function volaryProgram(): Command {
  const program = new Command("volary")
    .description("Trains models with huge sparse embedding tables on Node servers and browser tabs.")
    .version(versionOfPackage(), "-v, --version")
    .enablePositionalOptions()
    .addHelpText("after", example("volary train job.ts", "volary train --help"));
  const commands = [
    trainCommand(),
    predictCommand(),
    upCommand(),
    statusCommand(),
    coordinatorCommand(),
    psCommand(),
    drainCommand(),
    workerCommand(),
    gatewayCommand(),
    inviteCommand(),
    dataCommand(),
    deviceCommand(),
    doctorCommand(),
    benchCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  for (const command of [program, ...commands, ...commands.flatMap((each) => each.commands)]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(`volary: ${usageText(text)}; see \`${fullName(command)} --help\`\n`),
    });
  }
  return program;
}

/** commander's words as ours: "error: unknown option '--x'\n(Did you mean --y?)". */
const usageText = (text: string): string => oneLine(text.replace(/^error: /, "")).replace(/\.$/, "");

const fullName = (command: Command): string =>
  command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();

function versionOfPackage(): string {
  const file = new URL("../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
