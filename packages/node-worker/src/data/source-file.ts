/**
 * A file of a data set, wherever it lies: this machine, a web server, a bucket. Readers ask for its bytes in order or
 * for pieces of it; a file that is not the one that was opened any more ends the reading.
 */
import { ClusterError } from "@volary/core/errors";
import { open, type FileHandle } from "node:fs/promises";

export interface SourceFile {
  /** For people: a path or an address. */
  readonly name: string;
  /** As it is stored, packed or not; undefined where a server does not say. */
  readonly bytes: number | undefined;
  /** Whether {@link SourceFile.slice} works: some servers give a file only whole. */
  readonly hasSlices: boolean;
  /** Another one where its bytes are others: size and time, or what a server names its version. */
  readonly version: string;
  /** Whether it lies on this machine. */
  readonly isLocal: boolean;
  /**
   * Its stored bytes, in order.
   *
   * @throws {ClusterError} BAD_DATA: it cannot be read, or has changed since it was opened
   */
  stream(): AsyncIterable<Uint8Array>;
  /** Bytes [from, to). Throws as {@link SourceFile.stream} does. */
  slice(from: number, to: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 1024 * 1024;

/**
 * It is open only while it is read: a data set may have more files than a process may have open.
 *
 * @param name for messages, where it is not the path
 * @throws {ClusterError} BAD_DATA: the file cannot be opened
 */
export async function localFile(path: string, name = path): Promise<SourceFile> {
  const { size, mtimeMs } = await whileOpen(path, name, (handle) => handle.stat());
  const checkUnchanged = async (handle: FileHandle): Promise<void> => {
    const now = await handle.stat();
    if (now.size !== size || now.mtimeMs !== mtimeMs) throw changed(name, `${size} to ${now.size} bytes`);
  };
  return {
    name,
    bytes: size,
    version: `${size} ${mtimeMs}`,
    hasSlices: true,
    isLocal: true,
    async *stream() {
      const handle = await opened(path, name);
      try {
        await checkUnchanged(handle);
        for (let at = 0; at < size;) {
          const { buffer, bytesRead } = await handle.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, at);
          if (bytesRead === 0) throw changed(name, `${size} to ${at} bytes`);
          at += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
        await checkUnchanged(handle);
      } finally {
        await handle.close();
      }
    },
    slice: (from, to) =>
      whileOpen(path, name, async (handle) => {
        const bytes = new Uint8Array(to - from);
        for (let filled = 0; filled < bytes.length;) {
          const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, from + filled);
          if (bytesRead === 0) throw changed(name, `${size} bytes; nothing is at ${from + filled} now`);
          filled += bytesRead;
        }
        await checkUnchanged(handle);
        return bytes;
      }),
    close: async () => {},
  };
}

async function whileOpen<T>(path: string, name: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await opened(path, name);
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

function opened(path: string, name: string): Promise<FileHandle> {
  return open(path).catch((cause: unknown) => {
    throw badFile(name, `cannot be opened: ${messageOf(cause)}`, cause);
  });
}

export function changed(name: string, how: string): ClusterError {
  return badFile(
    name,
    `changed while it was read (${how}): leave data files alone while a job reads them, start again`,
  );
}

export function badFile(name: string, what: string, cause?: unknown): ClusterError {
  return new ClusterError("BAD_DATA", `${name}: ${what}`, cause === undefined ? undefined : { cause });
}

export function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
