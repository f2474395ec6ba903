/** The `volary` process: runs one command, and ends every failure with one line and an exit code. */
import { CommanderError } from "commander";
import { Interrupted } from "./cluster/interrupt.ts";
import { volaryProgram } from "./program.ts";
import { codeOf, EXIT_INTERRUPTED, EXIT_USAGE, failureText, isDebug } from "./user-error.ts";

process.on("uncaughtException", (error) => process.exit(exitCodeOf(error)));
// A reader that has seen enough, as `head`, is no failure.
process.stdout.on("error", (error) => process.exit(codeOf(error) === "EPIPE" ? 0 : exitCodeOf(error)));
try {
  await volaryProgram().parseAsync();
} catch (error) {
  // A role that failed to start may have left a device or a port open.
  process.exit(exitCodeOf(error));
}

/** Says what went wrong and gives the code to exit with. */
function exitCodeOf(error: unknown): number {
  // commander has printed its own: the help asked for, or what is wrong with the usage.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  process.stderr.write(`${failureText(error, { debug: isDebug() })}\n`);
  if (error instanceof Interrupted) return EXIT_INTERRUPTED;
  return error instanceof Error && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
}
