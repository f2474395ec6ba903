/**
 * Data channels over the browser's own WebRTC (RFC 8831). Only a page has it, not a Web Worker: `port-channels.ts` hands
 * the bytes on.
 *
 * No server is asked for anything unless the operator names one: without STUN and TURN servers, two members connect where
 * each can reach an address of the other, as in one network. Browsers hide addresses of a local network behind names
 * that only mDNS resolves; where that is switched off, as in most data centres, members without a server in common take
 * the way by their leaf links.
 */
import { LIMITS } from "@volary/core/limits";
import {
  type Channel,
  type ChannelDialer,
  type ChannelOptions,
  type ChannelSignal,
  type IceServer,
} from "@volary/core/training";

export interface RtcOptions {
  /** "relay" uses TURN servers alone, which hides the address of this page from the others. */
  policy?: "all" | "relay";
}

/** @returns undefined where the browser has no WebRTC, or its owner has switched it off */
export function rtcDialer({ policy = "all" }: RtcOptions = {}): ChannelDialer | undefined {
  if (typeof RTCPeerConnection === "undefined") return undefined;
  const configurationOf = (iceServers: readonly IceServer[]): RTCConfiguration => ({
    iceServers: iceServers.map(({ url, username = "", credential = "" }) =>
      username === "" ? { urls: url } : { urls: url, username, credential },
    ),
    iceTransportPolicy: policy,
  });
  return { open: (o) => new RtcChannel(new RTCPeerConnection(configurationOf(o.iceServers)), o) };
}

class RtcChannel implements Channel {
  readonly #connection: RTCPeerConnection;
  readonly #o: ChannelOptions;
  #channel: RTCDataChannel | undefined;
  #isClosed = false;

  constructor(connection: RTCPeerConnection, o: ChannelOptions) {
    this.#connection = connection;
    this.#o = o;
    connection.onicecandidate = ({ candidate }) => {
      if (!candidate || candidate.candidate === "" || this.#isClosed) return;
      o.signal({ kind: "candidate", candidate: candidate.candidate, mid: candidate.sdpMid ?? "0" });
    };
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "failed") this.#fail("no way to the other end was found");
    };
    if (o.end === "answers") connection.ondatachannel = ({ channel }) => this.#adopt(channel);
    else {
      this.#adopt(connection.createDataChannel("group"));
      this.#attempt(() => this.#describe());
    }
  }

  get bufferedBytes(): number {
    return this.#channel?.bufferedAmount ?? 0;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#channel?.send(bytes);
  }

  take(signal: ChannelSignal): void {
    const connection = this.#connection;
    if (signal.kind === "description") {
      const { type, sdp } = signal;
      this.#attempt(async () => {
        await connection.setRemoteDescription({ type, sdp });
        if (type === "offer") await this.#describe();
      });
    } else if (signal.kind === "candidate") {
      // The browser waits with it until it has the description, which came before.
      this.#attempt(() => connection.addIceCandidate({ candidate: signal.candidate, sdpMid: signal.mid }));
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#connection.close();
  }

  /** Makes the offer, or the answer to one that was taken. */
  async #describe(): Promise<void> {
    const connection = this.#connection;
    await connection.setLocalDescription();
    const { type, sdp } = connection.localDescription!;
    if (!this.#isClosed) this.#o.signal({ kind: "description", type: type === "offer" ? "offer" : "answer", sdp });
  }

  #adopt(channel: RTCDataChannel): void {
    const { events } = this.#o;
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LIMITS.groupBufferedBytesLow;
    channel.onopen = () => this.#isClosed || events.onOpen();
    channel.onbufferedamountlow = () => this.#isClosed || events.onLow();
    channel.onclose = () => this.#fail("the data channel closed");
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (this.#isClosed) return;
      if (data instanceof ArrayBuffer) events.onChunk(new Uint8Array(data));
      else this.#fail("text came over it, which it does not carry");
    };
  }

  #attempt(act: () => Promise<void>): void {
    act().catch((error: unknown) => this.#fail(error instanceof Error ? error.message : String(error)));
  }

  #fail(reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#o.events.onClose(reason);
  }
}
