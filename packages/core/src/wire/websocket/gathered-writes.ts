/**
 * A Node stream that is written to once in each turn: a node that answers what one read has brought sends many small
 * frames, and each write of its own would cost more than all else about a frame.
 */
import type { ByteStream } from "./sender.ts";

/** What this needs of Node's `Duplex`. */
export interface CorkedStream {
  readonly writableLength: number;
  cork(): void;
  uncork(): void;
  write(bytes: Uint8Array, onSent?: () => void): unknown;
  end(): unknown;
  destroy(): unknown;
}

/** So much is written at once, so that it travels while more is made. */
const GATHERED_BYTES_MAX = 65_536;

/** @param afterThis calls back when what runs now has returned, before anything else is read */
export function gatheredWrites(stream: CorkedStream, afterThis: (run: () => void) => void): ByteStream {
  let gathers = false;
  const flush = () => {
    if (!gathers) return;
    gathers = false;
    stream.uncork();
  };
  return {
    get bufferedBytes() {
      return stream.writableLength;
    },
    write: (header, payload, onSent) => {
      if (!gathers) {
        gathers = true;
        stream.cork();
        afterThis(flush);
      }
      stream.write(header);
      stream.write(payload, onSent && (() => onSent()));
      if (stream.writableLength >= GATHERED_BYTES_MAX) flush();
    },
    end: () => {
      flush();
      stream.end();
    },
    destroy: () => stream.destroy(),
  };
}
