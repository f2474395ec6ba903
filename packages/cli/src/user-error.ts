/**
 * How failures end for a person: one line that says what, where and what to do; a stack only for VOLARY_DEBUG=1.
 */

/** Something the person at the terminal can put right. The message names it and the remedy. */
export class UserError extends Error {
  override readonly name = "UserError";
  /** Of the process that it ends. */
  readonly exitCode: number;

  constructor(message: string, { exitCode = 1, ...options }: ErrorOptions & { exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** The exit code a shell expects of a process that signal 2 ended. */
export const EXIT_INTERRUPTED = 130;
export const EXIT_USAGE = 2;

/** The one line for a failure, and its stack when it is asked for. */
export function failureText(error: unknown, { debug }: { debug: boolean }): string {
  if (!(error instanceof Error)) return `volary: ${oneLine(String(error))}`;
  if (debug) return `volary: ${error.stack ?? error.message}${causesOf(error)}`;
  const hint = isBug(error) ? "; this is a bug in Volary or in the job file, VOLARY_DEBUG=1 shows where" : "";
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

/** What no message was written for: the engine's own errors, and broken invariants. */
function isBug({ name, message }: Error): boolean {
  if (name === "ReferenceError" || message.startsWith("invariant broken")) return true;
  return (
    name === "TypeError" &&
    /is not (a function|iterable|defined)|^Cannot (read|set|destructure)|undefined/.test(message)
  );
}

function causesOf(error: Error): string {
  return error.cause instanceof Error ? `\ncaused by ${error.cause.stack ?? error.cause.message}` : "";
}
