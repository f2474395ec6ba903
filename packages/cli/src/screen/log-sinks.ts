/** Where the lines of a local cluster's processes go. */
import { createWriteStream } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import path from "node:path";
import { finished } from "node:stream/promises";
import type { LogEntry } from "../cluster/child-role.ts";
import { messageOf, UserError } from "../user-error.ts";

export interface LogSink {
  readonly write: (entry: LogEntry) => void;
  close(): Promise<void>;
}

/** For people: the name of the process, then the message. */
export const logText = ({ process: name, line }: LogEntry): string =>
  `${name.padEnd(12)} ${parsed(line)?.message ?? line}`;

/**
 * To a file, anew for each run, one JSON object a line.
 *
 * @throws {UserError} the file cannot be written
 */
export async function fileLog(file: string): Promise<LogSink> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await (await open(file, "w")).close();
  } catch (cause) {
    throw new UserError(`cannot write ${file}: ${messageOf(cause)}; give a folder that you may write to with --save`, {
      cause,
    });
  }
  const stream = createWriteStream(file);
  // A full disk must not end the training.
  stream.on("error", () => {});
  return {
    write: (entry) => void stream.write(`${jsonLine(entry)}\n`),
    close: async () => {
      stream.end();
      await finished(stream).catch(() => {});
    },
  };
}

/** Our processes log JSON; libraries in them may print anything. */
function jsonLine({ process: name, line }: LogEntry): string {
  return parsed(line) === undefined ? JSON.stringify({ process: name, message: line }) : line;
}

function parsed(line: string): { message: string } | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value = JSON.parse(line) as { message?: unknown };
    return typeof value.message === "string" ? { message: value.message } : undefined;
  } catch {
    return undefined;
  }
}
