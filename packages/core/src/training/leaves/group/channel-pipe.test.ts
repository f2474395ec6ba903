/** Messages over one channel: how much the channel is given, and how much may wait. */
import { expect, it } from "vitest";
import { LIMITS } from "../../../limits.ts";
import { ChannelPipe } from "./channel-pipe.ts";
import type { Channel } from "./channel.ts";

/** A channel that sends when it is told to. */
class SlowChannel implements Channel {
  readonly chunks: Uint8Array[] = [];
  bufferedBytes = 0;

  send(bytes: Uint8Array): void {
    this.chunks.push(bytes);
    this.bufferedBytes += bytes.length;
  }

  take(): void {}

  close(): void {}
}

it("a pipe gives a channel no more than it may have unsent, and goes on when that is low", () => {
  const channel = new SlowChannel();
  const pipe = new ChannelPipe(channel);
  const messages = [3_000_000, 0, 500_000].map((bytes, i) => new Uint8Array(bytes).fill(i + 1));
  for (const message of messages) pipe.send(message);
  expect(channel.bufferedBytes).toBeGreaterThanOrEqual(LIMITS.groupBufferedBytesMax);
  expect(channel.bufferedBytes).toBeLessThan(LIMITS.groupBufferedBytesMax + LIMITS.groupChunkBytes);

  const end = new ChannelPipe(new SlowChannel());
  const came: Uint8Array[] = [];
  while (channel.chunks.length > 0) {
    for (const chunk of channel.chunks.splice(0)) {
      const message = end.take(chunk);
      if (message) came.push(message);
    }
    channel.bufferedBytes = 0;
    pipe.flush();
    expect(channel.bufferedBytes).toBeLessThan(LIMITS.groupBufferedBytesMax + LIMITS.groupChunkBytes);
  }
  expect(came.map(({ length }) => length)).toEqual(messages.map(({ length }) => length));
  expect(came.every((message, i) => message.every((byte) => byte === i + 1))).toBe(true);
});

it("a pipe says that the other end is a slow reader before more waits than may", () => {
  const pipe = new ChannelPipe(new SlowChannel());
  const message = new Uint8Array(LIMITS.groupMessageBytesMax);
  const sendMany = () => {
    for (let sent = 0; sent <= LIMITS.groupWaitingBytesMax + 2 * message.length; sent += message.length) {
      pipe.send(message);
    }
  };
  expect(sendMany).toThrow(expect.objectContaining({ code: "SLOW_READER" }));
});

it("a pipe refuses a message that the other end would refuse", () => {
  const pipe = new ChannelPipe(new SlowChannel());
  expect(() => pipe.send(new Uint8Array(LIMITS.groupMessageBytesMax + 1))).toThrow(RangeError);
});
