/**
 * Messages over one channel, cut into chunks and put together again. A channel is given no more than
 * `LIMITS.groupBufferedBytesMax` at a time, since a browser keeps what it cannot send in its own memory, and closes the
 * channel when that is full; the rest waits here, within bounds.
 */
import { ClusterError } from "../../../errors.ts";
import { LIMITS } from "../../../limits.ts";
import type { Channel } from "./channel.ts";
import { ChunkReader, ChunkWriter } from "./chunks.ts";

export class ChannelPipe {
  readonly #channel: Channel;
  readonly #reader = new ChunkReader();
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writer: ChunkWriter | undefined;
  #messages = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /**
   * @param bytes not touched by the caller any more
   * @throws {RangeError} over `LIMITS.groupMessageBytesMax`
   * @throws {ClusterError} SLOW_READER: more waits than may; the channel should be closed
   */
  send(bytes: Uint8Array): void {
    if (bytes.length > LIMITS.groupMessageBytesMax) throw tooLong(bytes.length);
    if (this.#waitingBytes + bytes.length > LIMITS.groupWaitingBytesMax) {
      throw new ClusterError(
        "SLOW_READER",
        `over ${LIMITS.groupWaitingBytesMax} bytes wait for a data channel; the other end takes them too slowly`,
      );
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.flush();
  }

  /** Gives the channel what it may take now. */
  flush(): void {
    while (this.#channel.bufferedBytes < LIMITS.groupBufferedBytesMax) {
      if (this.#writer === undefined) {
        const bytes = this.#waiting.shift();
        if (bytes === undefined) return;
        this.#waitingBytes -= bytes.length;
        this.#writer = new ChunkWriter(this.#messages, bytes);
        this.#messages = (this.#messages + 1) >>> 0;
      }
      this.#channel.send(this.#writer.next());
      if (this.#writer.done) this.#writer = undefined;
    }
  }

  /**
   * @returns the message that the chunk ends, if it does
   * @throws {ProtocolError} a chunk that cannot come now
   */
  take(chunk: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    return this.#reader.take(chunk);
  }
}

function tooLong(bytes: number): RangeError {
  return new RangeError(`a message of ${bytes} bytes is over the limit of ${LIMITS.groupMessageBytesMax} for a group`);
}
