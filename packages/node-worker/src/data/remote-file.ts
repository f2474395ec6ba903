/**
 * Reading over a network that fails at times: a stream goes on where it broke off, a few attempts with growing pauses,
 * and every piece is checked to be of the file that was opened.
 */
import { setTimeout as pause } from "node:timers/promises";
import { badFile, changed, messageOf, type SourceFile } from "./source-file.ts";

/** What http and s3 have in common. */
export interface RemoteObject {
  name: string;
  bytes: number | undefined;
  version: string;
  hasRanges: boolean;
  /**
   * Begins to read at byte `from`, up to `to` where it is given; from 0 where the object has no ranges.
   *
   * @throws {RemoteFailure} at the first sign of trouble
   */
  open(from: number, to: number | undefined, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** Why a request failed, and whether to try again. */
export class RemoteFailure extends Error {
  override readonly name = "RemoteFailure";
  readonly kind: "again" | "refused" | "changed";

  constructor(kind: "again" | "refused" | "changed", message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

const ATTEMPTS_MAX = 5;
const BACKOFF_MS = 200;
/** A connection that gives nothing for this long is given up. */
const SILENCE_MS = 60_000;

export function remoteFile(object: RemoteObject): SourceFile {
  const { name, bytes, version, hasRanges } = object;
  return {
    name,
    bytes,
    version: `${bytes} ${version}`,
    hasSlices: hasRanges && bytes !== undefined,
    isLocal: false,
    stream: () => resumed(object, 0, undefined),
    async slice(from, to) {
      const piece = new Uint8Array(to - from);
      let filled = 0;
      if (to > from) {
        for await (const chunk of resumed(object, from, to)) {
          piece.set(chunk, filled);
          filled += chunk.length;
        }
      }
      return piece;
    },
    close: async () => {},
  };
}

/** Runs a request that may be repeated. */
export async function attempted<T>(name: string, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request(AbortSignal.timeout(SILENCE_MS));
    } catch (error) {
      await waitOrThrow(name, error, attempt);
    }
  }
}

async function* resumed(object: RemoteObject, from: number, to: number | undefined): AsyncGenerator<Uint8Array> {
  const end = to ?? object.bytes;
  let at = from;
  for (let attempt = 1; ; attempt++) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const start = object.hasRanges ? at : 0;
      let place = start;
      for await (const chunk of await object.open(start, to, silence.signal)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        // Without ranges a broken stream begins anew, and what was given already is skipped.
        const skipped = Math.min(chunk.length, Math.max(0, at - place));
        place += chunk.length;
        if (end !== undefined && place > end) throw new RemoteFailure("changed", `more than ${end} bytes`);
        if (skipped === chunk.length) continue;
        at += chunk.length - skipped;
        attempt = 1;
        yield chunk.subarray(skipped);
      }
      if (end === undefined || at >= end) return;
      throw new RemoteFailure("again", `the connection ended at byte ${at} of ${end}`);
    } catch (error) {
      clearTimeout(timer);
      await waitOrThrow(object.name, error, attempt);
    } finally {
      clearTimeout(timer);
    }
  }
}

async function waitOrThrow(name: string, error: unknown, attempt: number): Promise<void> {
  if (error instanceof RemoteFailure && error.kind === "changed") throw changed(name, error.message);
  if (error instanceof RemoteFailure && error.kind === "refused") throw badFile(name, error.message, error);
  if (attempt >= ATTEMPTS_MAX) {
    throw badFile(
      name,
      `cannot be read after ${attempt} attempts: ${reasonOf(error)}; check the address and the network`,
      error,
    );
  }
  await pause(BACKOFF_MS * 2 ** (attempt - 1));
}

/** `fetch failed` says nothing, its cause does. */
function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? messageOf(error.cause) : messageOf(error);
}
