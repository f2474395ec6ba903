/**
 * Data channels for a Web Worker, which has no WebRTC of its own: the page has the channels, and a message port lies
 * between. Chunks cross it without being copied. A channel counts as unsent what the page has not given the browser's
 * network yet, so that the bounds of a channel hold for both together.
 */
import { LIMITS } from "@volary/core/limits";
import type { Channel, ChannelDialer, ChannelEvents, ChannelOptions, ChannelSignal } from "@volary/core/training";

/** To the page. `id` names a channel. */
type ToPage =
  | ({ kind: "open"; id: number } & Pick<ChannelOptions, "end" | "iceServers">)
  | { kind: "send"; id: number; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "take"; id: number; signal: ChannelSignal }
  | { kind: "close"; id: number };

/** To the worker. */
type ToWorker =
  | { kind: "signal"; id: number; signal: ChannelSignal }
  | { kind: "opened"; id: number }
  | { kind: "chunk"; id: number; bytes: Uint8Array }
  /** So many bytes have left since the last one. */
  | { kind: "sent"; id: number; bytes: number }
  | { kind: "closed"; id: number; reason: string };

/**
 * The page's half.
 *
 * @param port to a worker that has the other one for {@link portDialer}
 * @returns closes all channels, and the port
 */
export function serveChannels(port: MessagePort, dialer: ChannelDialer): () => void {
  const channels = new Map<number, ServedChannel>();
  const post = (message: ToWorker, transfer: Transferable[] = []) => port.postMessage(message, transfer);
  port.onmessage = ({ data }: MessageEvent<ToPage>) => {
    if (data.kind === "open") {
      const { id, end, iceServers } = data;
      try {
        channels.set(id, new ServedChannel(id, { end, iceServers, dialer, post, gone: () => channels.delete(id) }));
      } catch (error) {
        post({ kind: "closed", id, reason: error instanceof Error ? error.message : String(error) });
      }
      return;
    }
    const served = channels.get(data.id);
    if (data.kind === "send") served?.send(data.bytes);
    else if (data.kind === "take") served?.channel.take(data.signal);
    else {
      channels.delete(data.id);
      served?.channel.close();
    }
  };
  return () => {
    port.close();
    for (const { channel } of channels.values()) channel.close();
    channels.clear();
  };
}

/** One channel of the page, for the worker. */
class ServedChannel {
  readonly channel: Channel;
  readonly #sent: () => void;
  #givenBytes = 0;
  #toldBytes = 0;

  constructor(
    id: number,
    o: Pick<ChannelOptions, "end" | "iceServers"> & {
      dialer: ChannelDialer;
      post: (message: ToWorker, transfer?: Transferable[]) => void;
      gone: () => void;
    },
  ) {
    this.channel = o.dialer.open({
      end: o.end,
      iceServers: o.iceServers,
      signal: (signal) => o.post({ kind: "signal", id, signal }),
      events: {
        onOpen: () => o.post({ kind: "opened", id }),
        onChunk: (bytes) => o.post({ kind: "chunk", id, bytes }, [bytes.buffer as ArrayBuffer]),
        onLow: () => this.#sent(),
        onClose: (reason) => {
          o.gone();
          o.post({ kind: "closed", id, reason });
        },
      },
    });
    this.#sent = () => {
      const bytes = this.#givenBytes - this.channel.bufferedBytes - this.#toldBytes;
      this.#toldBytes += bytes;
      if (bytes > 0) o.post({ kind: "sent", id, bytes });
    };
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#givenBytes += bytes.length;
    this.channel.send(bytes);
    // What the network has taken at once makes room without a word from the channel.
    if (this.channel.bufferedBytes <= LIMITS.groupBufferedBytesLow) this.#sent();
  }
}

/** The worker's half. */
export function portDialer(port: MessagePort): ChannelDialer {
  const channels = new Map<number, PortChannel>();
  let ids = 0;
  port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
    const channel = channels.get(data.id);
    if (data.kind === "closed") channels.delete(data.id);
    channel?.hear(data);
  };
  return {
    open: (o) => {
      const id = ids++;
      const channel = new PortChannel(o, {
        post: (message, transfer = []) => port.postMessage({ ...message, id }, transfer),
        gone: () => channels.delete(id),
      });
      channels.set(id, channel);
      const { end, iceServers } = o;
      port.postMessage({ kind: "open", id, end, iceServers } satisfies ToPage);
      return channel;
    },
  };
}

type Unnamed<T> = T extends unknown ? Omit<T, "id"> : never;

class PortChannel implements Channel {
  readonly #o: ChannelOptions;
  readonly #post: (message: Unnamed<ToPage>, transfer?: Transferable[]) => void;
  readonly #gone: () => void;
  bufferedBytes = 0;

  constructor(
    o: ChannelOptions,
    { post, gone }: { post: (message: Unnamed<ToPage>, transfer?: Transferable[]) => void; gone: () => void },
  ) {
    this.#o = o;
    this.#post = post;
    this.#gone = gone;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.bufferedBytes += bytes.length;
    this.#post({ kind: "send", bytes }, [bytes.buffer]);
  }

  take(signal: ChannelSignal): void {
    this.#post({ kind: "take", signal });
  }

  close(): void {
    this.#gone();
    this.#post({ kind: "close" });
  }

  hear(data: ToWorker): void {
    const { signal, events }: { signal: ChannelOptions["signal"]; events: ChannelEvents } = this.#o;
    switch (data.kind) {
      case "signal":
        return signal(data.signal);
      case "opened":
        return events.onOpen();
      case "chunk":
        return events.onChunk(data.bytes);
      case "sent":
        this.bufferedBytes -= data.bytes;
        if (this.bufferedBytes <= LIMITS.groupBufferedBytesLow) events.onLow();
        return;
      case "closed":
        return events.onClose(data.reason);
      default:
        data satisfies never;
    }
  }
}
