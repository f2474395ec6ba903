/** A TCP proxy on loopback whose network a test can break: cut it, hold back all bytes, or delay them. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

const HOST = "127.0.0.1";

/** One way of a connection: bytes in order, and then its end. */
interface Way {
  readonly from: Socket;
  readonly to: Socket;
  /** Bytes with the time from which on they may pass; undefined is the end. */
  readonly waiting: { dueMs: number; bytes: Buffer | undefined }[];
  timer: NodeJS.Timeout | undefined;
}

export class TcpProxy {
  /** Port that connections go to; those that come before it is known are closed. */
  targetPort: number | undefined;
  readonly #server: Server;
  readonly #ways = new Set<Way>();
  #isCut = false;
  #isHeld = false;
  #delayMs = 0;

  /** Use {@link TcpProxy.start}. */
  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
  }

  static async start(targetPort?: number): Promise<TcpProxy> {
    const server = createServer().listen(0, HOST);
    await once(server, "listening");
    const proxy = new TcpProxy(server);
    proxy.targetPort = targetPort;
    return proxy;
  }

  /** ws://host:port */
  get address(): string {
    return `ws://${HOST}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection, and new ones at once, until it is mended. */
  cut(): void {
    this.#isCut = true;
    for (const { from } of this.#ways) from.resetAndDestroy();
  }

  /** Lets no byte pass and tells nobody, until it is mended. */
  hold(): void {
    this.#isHeld = true;
  }

  /** From now on bytes arrive this much later, until it is mended. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  mend(): void {
    this.#isCut = false;
    this.#isHeld = false;
    this.#delayMs = 0;
    for (const way of this.#ways) this.#pass(way);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(near: Socket): void {
    near.on("error", () => {});
    if (this.#isCut || this.targetPort === undefined) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.targetPort, HOST).on("error", () => {});
    this.#relay(near, far);
    this.#relay(far, near);
  }

  #relay(from: Socket, to: Socket): void {
    const way: Way = { from, to, waiting: [], timer: undefined };
    this.#ways.add(way);
    const take = (bytes?: Buffer) => {
      way.waiting.push({ dueMs: performance.now() + this.#delayMs, bytes });
      this.#pass(way);
    };
    from.on("data", take).on("close", () => take());
  }

  /** Passes on what is due, in order. */
  #pass(way: Way): void {
    clearTimeout(way.timer);
    if (this.#isHeld) return;
    for (;;) {
      const first = way.waiting[0];
      if (!first) return;
      const waitMs = first.dueMs - performance.now();
      if (waitMs > 0) {
        way.timer = setTimeout(() => this.#pass(way), waitMs);
        return;
      }
      way.waiting.shift();
      if (first.bytes) way.to.write(first.bytes);
      else {
        way.to.destroy();
        this.#ways.delete(way);
      }
    }
  }
}
