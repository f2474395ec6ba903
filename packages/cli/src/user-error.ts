/**
 * How failures end for a person: one line that says what, where and what to do; a stack only for VOLARY_DEBUG=1.
 */
import { ClusterError } from "@volary/core/errors";

/** Something the person at the terminal can put right. The message names it and the remedy. */
export class UserError extends Error {
  override readonly name = "UserError";
}

/** The exit code a shell expects of a process that signal 2 ended. */
export const EXIT_INTERRUPTED = 130;
export const EXIT_USAGE = 2;

/** The one line for a failure, and its stack when it is asked for. */
export function failureText(error: unknown, { debug }: { debug: boolean }): string {
  if (!(error instanceof Error)) return `volary: ${oneLine(String(error))}`;
  if (debug) return `volary: ${error.stack ?? error.message}${causesOf(error)}`;
  const hint = isMeantForPeople(error) ? "" : " (VOLARY_DEBUG=1 shows where)";
  return `volary: ${oneLine(error.message)}${hint}`;
}

export const isDebug = (): boolean => (process.env["VOLARY_DEBUG"] ?? "0") !== "0";

export function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}

export function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

/** The `code` of a system or module error, or "". */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

function isMeantForPeople(error: Error): boolean {
  return error instanceof UserError || error instanceof ClusterError || error instanceof RangeError;
}

function causesOf(error: Error): string {
  return error.cause instanceof Error ? `\ncaused by ${error.cause.stack ?? error.cause.message}` : "";
}
