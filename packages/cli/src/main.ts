#!/usr/bin/env node
/** The `volary` process: runs one command, and ends every failure with one line and an exit code. */
import { CommanderError } from "commander";
import { Interrupted } from "./interrupt.ts";
import { volaryProgram } from "./program.ts";
import { EXIT_INTERRUPTED, EXIT_USAGE, failureText, isDebug } from "./user-error.ts";

process.on("uncaughtException", (error) => process.exit(exitCodeOf(error)));
try {
  await volaryProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

/** Says what went wrong, unless the person knows, and gives the code to exit with. */
function exitCodeOf(error: unknown): number {
  // commander has printed its own: the help asked for, or what is wrong with the usage.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof Interrupted) return EXIT_INTERRUPTED;
  process.stderr.write(`${failureText(error, { debug: isDebug() })}\n`);
  return 1;
}
