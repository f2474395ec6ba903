/**
 * Data channels in Node, by libdatachannel: the npm package `node-datachannel`, an optional dependency that brings its
 * binary with it. It runs threads of its own, which keep a process alive until they are stopped.
 */
import { LIMITS } from "@volary/core/limits";
import type { Channel, ChannelDialer, ChannelOptions, ChannelSignal, IceServer } from "@volary/core/training";

export interface NodeChannels {
  readonly dialer: ChannelDialer;
  /** Closes all channels. Without it the process does not end. */
  close(): void;
}

type Library = typeof import("node-datachannel");
type Connection = InstanceType<Library["PeerConnection"]>;
type DataChannel = ReturnType<Connection["createDataChannel"]>;

/** Dialers that are not closed: the last one stops the library's threads. */
let users = 0;

/** @throws {Error} the package is not installed here, with the remedy */
export async function openNodeChannels(): Promise<NodeChannels> {
  let library: Library;
  try {
    library = await import("node-datachannel");
  } catch (cause) {
    throw new Error("no WebRTC in this process: the npm package `node-datachannel` is missing; install it", {
      cause,
    });
  }
  const open = new Set<NodeChannel>();
  let isClosed = false;
  users++;
  return {
    dialer: {
      open: (o) => {
        if (isClosed) throw new Error("this process has closed its data channels");
        const connection = new library.PeerConnection("group", { iceServers: o.iceServers.map(urlOf) });
        const channel = new NodeChannel(connection, o, () => open.delete(channel));
        open.add(channel);
        return channel;
      },
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      for (const channel of open) channel.close();
      if (--users === 0) library.cleanup();
    },
  };
}

/** As libdatachannel wants it: what names a user is part of the address. */
function urlOf({ url, username, credential = "" }: IceServer): string {
  if (username === undefined) return url;
  return url.replace(":", `:${encodeURIComponent(username)}:${encodeURIComponent(credential)}@`);
}

class NodeChannel implements Channel {
  readonly #connection: Connection;
  readonly #o: ChannelOptions;
  readonly #gone: () => void;
  #channel: DataChannel | undefined;
  #isClosed = false;

  constructor(connection: Connection, o: ChannelOptions, gone: () => void) {
    this.#connection = connection;
    this.#o = o;
    this.#gone = gone;
    connection.onLocalDescription((sdp, type) => {
      if (this.#isClosed || (type !== "offer" && type !== "answer")) return;
      o.signal({ kind: "description", type, sdp });
    });
    connection.onLocalCandidate((candidate, mid) => {
      if (!this.#isClosed) o.signal({ kind: "candidate", candidate, mid });
    });
    connection.onStateChange((state) => {
      if (state === "failed") this.#fail("no way to the other end was found");
    });
    if (o.end === "offers") this.#adopt(connection.createDataChannel("group"));
    else connection.onDataChannel((channel) => this.#adopt(channel));
  }

  get bufferedBytes(): number {
    return this.#channel?.bufferedAmount() ?? 0;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#channel?.sendMessageBinary(bytes);
  }

  take(signal: ChannelSignal): void {
    if (this.#isClosed) return;
    try {
      if (signal.kind === "description") this.#connection.setRemoteDescription(signal.sdp, signal.type);
      else if (signal.kind === "candidate") this.#connection.addRemoteCandidate(signal.candidate, signal.mid);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#gone();
    this.#channel?.close();
    this.#connection.close();
  }

  #adopt(channel: DataChannel): void {
    const { events } = this.#o;
    this.#channel = channel;
    channel.setBufferedAmountLowThreshold(LIMITS.groupBufferedBytesLow);
    channel.onOpen(() => this.#isClosed || events.onOpen());
    channel.onBufferedAmountLow(() => this.#isClosed || events.onLow());
    channel.onClosed(() => this.#fail("the data channel closed"));
    channel.onError((reason) => this.#fail(reason));
    channel.onMessage((data) => {
      if (this.#isClosed) return;
      if (typeof data === "string") this.#fail("text came over it, which it does not carry");
      else events.onChunk(data instanceof ArrayBuffer ? new Uint8Array(data) : data);
    });
  }

  #fail(reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#o.events.onClose(reason);
  }
}
