/**
 * A TensorBoard event file that grows while a job trains. A full disk is told of once and ends the file, never the
 * training.
 */
import { mkdir, open, type FileHandle } from "node:fs/promises";
import { hostname } from "node:os";
import path from "node:path";
import type { Clock } from "@volary/core/wire";
import { messageOf, UserError } from "../user-error.ts";
import { fileVersionRecord, scalarRecord, type ScalarEvent } from "./tensorboard-events.ts";

export interface TensorBoardLog {
  readonly file: string;
  readonly write: (event: ScalarEvent) => void;
  /** Writes what is left. */
  close(): Promise<void>;
}

export interface TensorBoardLogOptions {
  clock: Clock;
  /** ms since 1970; names the file. */
  nowMs: number;
  onWarning: (message: string) => void;
}

const FLUSH_EVERY_MS = 2_000;
/** Of events that wait for a slow disk; more are counted and left out. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Opens a new event file in a folder, as `events.out.tfevents.SECONDS.HOST.PID.0`.
 *
 * @throws {UserError} the folder cannot be written: why, and the remedy
 */
export async function openTensorBoardLog(folder: string, o: TensorBoardLogOptions): Promise<TensorBoardLog> {
  const { clock, nowMs, onWarning } = o;
  const seconds = String(Math.floor(nowMs / 1000)).padStart(10, "0");
  const file = path.join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.0`);
  const handle = await openFile(folder, file);
  let waiting: Uint8Array[] = [fileVersionRecord({ atMs: nowMs })];
  let waitingBytes = 0;
  let leftOut = 0;
  let isBroken = false;
  let cancel: (() => void) | undefined;
  let writing: Promise<void> = Promise.resolve();

  const fail = (reason: string) => {
    if (!isBroken) onWarning(`${file} ends here, and training goes on: ${reason}`);
    isBroken = true;
  };
  const flush = () => {
    cancel = undefined;
    writing = writing.then(async () => {
      const bytes = Buffer.concat(waiting);
      waiting = [];
      waitingBytes = 0;
      if (!isBroken) await handle.appendFile(bytes).catch((error: unknown) => fail(messageOf(error)));
    });
  };
  flush();

  return {
    file,
    write(event) {
      if (isBroken) return;
      const bytes = scalarRecord(event);
      if (waitingBytes + bytes.length > WAITING_BYTES_MAX) {
        leftOut++;
        return;
      }
      waiting.push(bytes);
      waitingBytes += bytes.length;
      cancel ??= clock.after(FLUSH_EVERY_MS, flush);
    },
    async close() {
      cancel?.();
      flush();
      await writing;
      if (leftOut > 0) onWarning(`${file} lacks ${leftOut} events: the disk was too slow for them`);
      await handle.close().catch((error: unknown) => fail(messageOf(error)));
    },
  };
}

async function openFile(folder: string, file: string): Promise<FileHandle> {
  try {
    await mkdir(folder, { recursive: true });
    return await open(file, "a");
  } catch (cause) {
    const remedy = "give a folder that you may write to with --tensorboard";
    throw new UserError(`cannot write ${file}: ${messageOf(cause)}; ${remedy}`, { cause });
  }
}
