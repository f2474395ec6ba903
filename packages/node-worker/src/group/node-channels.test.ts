/** Data channels between two ends in Node, over real sockets of this machine. */
import { execFile } from "node:child_process";
import { execPath } from "node:process";
import { promisify } from "node:util";
import { LIMITS } from "@volary/core/limits";
import type { Channel, ChannelEvents } from "@volary/core/training";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNodeChannels, type NodeChannels } from "./node-channels.ts";

let channels: NodeChannels;
beforeAll(async () => {
  channels = await openNodeChannels();
});
afterAll(() => channels.close());

interface Ends {
  offering: Channel;
  answering: Channel;
}

/** Two ends that hand each other their signals, and resolve when both are open. */
async function openPair(on: { offering?: Partial<ChannelEvents>; answering?: Partial<ChannelEvents> }): Promise<Ends> {
  const ends: Partial<Ends> = {};
  const open = (end: keyof Ends, other: keyof Ends) =>
    new Promise<void>((resolve, reject) => {
      ends[end] = channels.dialer.open({
        end: end === "offering" ? "offers" : "answers",
        iceServers: [],
        signal: (signal) => queueMicrotask(() => ends[other]!.take(signal)),
        events: {
          onOpen: resolve,
          onChunk: () => {},
          onLow: () => {},
          onClose: (reason) => reject(new Error(reason)),
          ...on[end],
        },
      });
    });
  await Promise.all([open("answering", "offering"), open("offering", "answering")]);
  return ends as Ends;
}

test("chunks arrive in order, as many as the channel takes and more after it is low", async () => {
  const count = 80; // 5 MiB: five times what may be unsent
  const came: number[] = [];
  let whole: () => void;
  const arrived = new Promise<void>((resolve) => (whole = resolve));
  let sent = 0;
  const send = ({ offering }: Pick<Ends, "offering">) => {
    while (sent < count && offering.bufferedBytes < LIMITS.groupBufferedBytesMax) {
      offering.send(new Uint8Array(LIMITS.groupChunkBytes).fill(sent++));
    }
  };
  const onChunk = (bytes: Uint8Array) => {
    expect(bytes).toHaveLength(LIMITS.groupChunkBytes);
    if (came.push(bytes.at(-1)!) === count) whole();
  };
  const ends: Ends = await openPair({ offering: { onLow: () => send(ends) }, answering: { onChunk } });
  send(ends);
  await arrived;
  expect(came).toEqual(Array.from({ length: count }, (_, i) => i));
  ends.offering.close();
});

test("the other end hears that an end has closed", async () => {
  let hear: (reason: string) => void;
  const closed = new Promise<string>((resolve) => (hear = resolve));
  const { offering } = await openPair({ answering: { onClose: (reason) => hear(reason) } });
  offering.close();
  expect(await closed).toBe("the data channel closed");
});

test("a description that is none closes the channel, and says so once", async () => {
  const reasons: string[] = [];
  const end = channels.dialer.open({
    end: "answers",
    iceServers: [],
    signal: () => {},
    events: { onOpen: () => {}, onChunk: () => {}, onLow: () => {}, onClose: (reason) => reasons.push(reason) },
  });
  end.take({ kind: "description", type: "offer", sdp: "nonsense" });
  end.take({ kind: "description", type: "offer", sdp: "nonsense" });
  expect(reasons).toHaveLength(1);
});

test("a process ends by itself once its channels are closed", async () => {
  const url = new URL("./node-channels.ts", import.meta.url).href;
  const script = `
    const { openNodeChannels } = await import(${JSON.stringify(url)});
    const channels = await openNodeChannels();
    const events = { onOpen() {}, onChunk() {}, onLow() {}, onClose() {} };
    channels.dialer.open({ end: "offers", iceServers: [], signal() {}, events });
    channels.close();
    console.log("closed");`;
  const { stdout } = await promisify(execFile)(
    execPath,
    ["--conditions=volary-source", "--input-type=module", "--eval", script],
    { timeout: 30_000 },
  );
  expect(stdout).toBe("closed\n");
});
