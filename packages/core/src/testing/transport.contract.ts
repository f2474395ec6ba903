/**
 * What every transport must do, run by each of them: WebSockets in Node and in the browser, the simulated network.
 *
 * Only the bytes travel by the transport under test. Time, which only timeouts ask for, is simulated.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClusterError, ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import {
  encodeControl,
  frame,
  PROTOCOL_MAX,
  type AcceptLinkOptions,
  type Control,
  type ControlOf,
  type Dialer,
  type Frame,
  type Hello,
  type Link,
  type LinkEvents,
  type Socket,
} from "../wire/index.ts";
import type { SimulatedClock } from "./simulated-clock.ts";

/** What a transport brings for its contract; made anew for each test. */
export interface TransportHarness {
  readonly dialer: Dialer;
  /** The clock of all timeouts. */
  readonly clock: SimulatedClock;
  /** Opens a port that accepts hellos as `server`. */
  listen(o: ContractListener): Promise<{ address: string; close: () => Promise<void> }>;
  /** A socket that says no hello by itself. */
  connect(address: string): Socket;
  /** Waits for what the transport is about to do. */
  until<T>(done: Promise<T>): Promise<T>;
  /** Errors of listeners, which closed their links. */
  readonly faults: unknown[];
  stop(): Promise<void>;
}

export interface ContractListener extends Pick<AcceptLinkOptions, "refuse"> {
  onLink: (link: Link, hello: ControlOf<"hello">) => void;
}

const HELLO: Hello = { role: "worker", name: "client" };

export function transportContract(name: string, start: () => Promise<TransportHarness>): void {
  describe(`${name} as a transport`, () => {
    let t: TransportHarness;
    let serverOptions: ContractListener;

    beforeEach(async () => {
      t = await start();
      serverOptions = { onLink: () => {} };
    });
    afterEach(() => t.stop());

    /** Two ends of one link, nobody listening yet. */
    async function pair(o: { hello?: Hello } = {}): Promise<{ client: Link; server: Link; hello: ControlOf<"hello"> }> {
      const accepted = new Promise<{ link: Link; hello: ControlOf<"hello"> }>((resolve) => {
        serverOptions.onLink = (link, hello) => resolve({ link, hello });
      });
      const { address } = await t.listen(serverOptions);
      const client = await t.until(t.dialer.dial(address, o.hello ?? HELLO));
      const { link, hello } = await t.until(accepted);
      return { client, server: link, hello };
    }

    it("tells each end who the other is", async () => {
      const { client, server, hello } = await pair({ hello: { role: "peer", name: "client", id: 7, job: 3 } });
      expect(client.name).toBe("server");
      expect(server.name).toBe("client");
      expect(hello).toMatchObject({ role: "peer", name: "client", id: 7, job: 3 });
    });

    it("delivers control messages and frames in the order they were sent", async () => {
      const { client, server } = await pair();
      const heard = record(server);
      for (let i = 0; i < 200; i++) {
        if (i % 3 === 0) client.sendFrame(frame({ opcode: "pull", requestId: i }));
        else client.sendControl({ type: "close-job", job: i });
      }
      await t.until(heard.count(200));
      expect(heard.messages.map(numberOf)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    });

    it("carries both directions at once", async () => {
      const { client, server } = await pair();
      const atServer = record(server);
      const atClient = record(client);
      for (let i = 0; i < 50; i++) {
        client.sendControl({ type: "close-job", job: i });
        server.sendFrame(frame({ opcode: "pullReply", requestId: i }));
      }
      await t.until(Promise.all([atServer.count(50), atClient.count(50)]));
      expect(atServer.messages.map(numberOf)).toEqual(atClient.messages.map(numberOf));
    });

    it("carries frames of 8 MB unchanged, with a small message behind each", async () => {
      const { client, server } = await pair();
      const heard = record(server);
      const values = Float32Array.from({ length: 2_097_152 }, (_, i) => i * 0.5);
      const keys = Uint32Array.from({ length: 2000 }, (_, i) => i);
      for (let i = 0; i < 3; i++) {
        client.sendFrame(frame({ opcode: "pullReply", requestId: 2 * i, keys, values }));
        client.sendControl({ type: "close-job", job: 2 * i + 1 });
      }
      await t.until(heard.count(6));
      expect(heard.messages.map(numberOf)).toEqual([0, 1, 2, 3, 4, 5]);
      for (const message of heard.messages) {
        if (!("opcode" in message)) continue;
        expect(firstDifference(message.values, values)).toBe(-1);
        expect(firstDifference(message.keys, keys)).toBe(-1);
      }
    });

    it("carries what PS nodes tell each other: records with their sequences, and parts of a copy as they are", async () => {
      const { client, server, hello } = await pair({ hello: { role: "ps", name: "client", id: 2 } });
      expect(hello).toMatchObject({ role: "ps", id: 2 });
      const heard = record(server);
      const of = {
        partitions: Uint32Array.of(3, 7),
        generations: Uint32Array.of(4, 5),
        sequences: Uint32Array.of(9, 1),
      };
      const staged = frame({
        ...of,
        opcode: "stageRecord",
        tables: Uint32Array.of(1),
        counts: Uint32Array.of(1, 1),
        keys: Uint32Array.of(5, 6, 7, 8),
        values: Float32Array.of(1.5, -2),
      });
      const part = frame({ ...of, opcode: "copyPart", partial: true, dtype: "int8", coded: Uint8Array.of(1, 2, 3) });
      client.sendFrame(staged);
      client.sendFrame(part);
      client.sendFrame(frame({ ...of, opcode: "chainAck" }));
      await t.until(heard.count(3));
      expect(heard.messages).toEqual([staged, part, frame({ ...of, opcode: "chainAck" })]);
    });

    it("says once of each frame that its values may be changed, and what arrives is what they were", async () => {
      const { client, server } = await pair();
      const heard = record(server);
      const values = Float32Array.from({ length: 100_000 }, (_, i) => i);
      const sent: number[] = [];
      for (let requestId = 0; requestId < 3; requestId++) {
        await t.until(
          new Promise<void>((resolve) => {
            client.sendFrame(frame({ opcode: "pullReply", requestId, values }), () => {
              sent.push(requestId);
              resolve();
            });
          }),
        );
        values.fill(-1);
      }
      await t.until(heard.count(3));
      expect(sent).toEqual([0, 1, 2]);
      const first = heard.messages.map((message) => "values" in message && [message.values[0], message.values[99_999]]);
      expect(first).toEqual([
        [0, 99_999],
        [-1, -1],
        [-1, -1],
      ]);
    });

    it("carries text beyond ASCII unchanged", async () => {
      const { client, server } = await pair();
      const heard = record(server);
      const message = "Ж 学习 \u{1F426} \u0000 é";
      client.sendControl({ type: "error", code: "JOB_FAILED", message });
      await t.until(heard.count(1));
      expect(heard.messages[0]).toMatchObject({ message });
    });

    it("keeps messages, in order, until somebody listens", async () => {
      serverOptions.onLink = (link) => {
        for (let i = 0; i < 20; i++) link.sendControl({ type: "close-job", job: i });
      };
      const { address } = await t.listen(serverOptions);
      const client = await t.until(t.dialer.dial(address, HELLO));
      const second = await t.until(t.dialer.dial(address, HELLO)); // by now the first has its messages
      const heard = record(client);
      await t.until(heard.count(20));
      expect(heard.messages.map(numberOf)).toEqual(Array.from({ length: 20 }, (_, i) => i));
      second.close("done");
    });

    it("delivers what was sent before a close, even to one who listens only after it", async () => {
      serverOptions.onLink = (link) => {
        link.sendControl({ type: "close-job", job: 1 });
        link.sendFrame(frame({ opcode: "pull", requestId: 2 }));
        link.close("that was all");
      };
      const { address } = await t.listen(serverOptions);
      const client = await t.until(t.dialer.dial(address, HELLO));
      await t.until(t.dialer.dial(address, HELLO));
      const heard = record(client);
      expect(await t.until(heard.closed)).toBe("that was all");
      expect(heard.messages.map(numberOf)).toEqual([1, 2]);
    });

    it("tells both ends the reason of a close, once", async () => {
      const { client, server } = await pair();
      const atClient = record(client);
      const atServer = record(server);
      client.close("the job is over: 完");
      client.close("again");
      expect(await t.until(atServer.closed)).toBe("the job is over: 完");
      expect(await t.until(atClient.closed)).toBe("the job is over: 完");
      server.close("too late");
      expect([atClient.closes, atServer.closes]).toEqual([1, 1]);
    });

    it("cuts a reason of any length so that it still arrives", async () => {
      const { client, server } = await pair();
      const heard = record(server);
      const reason = "ü".repeat(500);
      client.close(reason);
      const arrived = await t.until(heard.closed);
      expect(reason.startsWith(arrived)).toBe(true);
      expect(arrived.length).toBeGreaterThan(50);
    });

    it("hears nothing more after its own close", async () => {
      const { client, server } = await pair();
      const atClient = record(client);
      const atServer = record(server);
      for (let i = 0; i < 10; i++) server.sendControl({ type: "close-job", job: i });
      client.close("enough");
      await t.until(atServer.closed);
      expect(atClient.messages).toEqual([]);
    });

    it("lets a listener close its own link while it is called", async () => {
      const { client, server } = await pair();
      const closed = new Promise<string>((resolve) => {
        server.listen({ ...IGNORE, onControl: () => server.close("heard enough"), onClose: resolve });
      });
      const atClient = record(client);
      client.sendControl({ type: "close-job", job: 1 });
      client.sendControl({ type: "close-job", job: 2 });
      expect(await t.until(closed)).toBe("heard enough");
      expect(await t.until(atClient.closed)).toBe("heard enough");
    });

    it("takes a send after the close without complaint", async () => {
      const { client, server } = await pair();
      const heard = record(server);
      client.close("bye");
      client.sendControl({ type: "close-job", job: 1 });
      client.sendFrame(frame({ opcode: "pull" }));
      await t.until(heard.closed);
      expect(heard.messages).toEqual([]);
    });

    it("closes only the link whose bytes break the protocol, and says why", async () => {
      const { address, links } = await collecting();
      const good = await t.until(t.dialer.dial(address, HELLO));
      const echo = record(good);
      for (const bad of ["{", '{"type":"nonsense"}', new Uint8Array([1, 2, 3])]) {
        const socket = await greeted(address);
        const heard = recordSocket(socket);
        socket.send(bad);
        const { code, reason } = await t.until(heard.closed);
        expect(code).toBe(4002);
        expect(reason.length).toBeGreaterThan(10);
        expect(heard.texts.at(-1)).toContain('"PROTOCOL_VIOLATION"');
      }
      links[0]!.sendControl({ type: "close-job", job: 5 });
      await t.until(echo.count(1));
      expect(t.faults).toEqual([]);
    });

    it("closes only the link whose listener threw, and passes the error on", async () => {
      const { client, server } = await pair();
      const mine = new Error("a bug of ours");
      server.listen({
        ...IGNORE,
        onControl: () => {
          throw mine;
        },
      });
      const heard = record(client);
      client.sendControl({ type: "close-job", job: 1 });
      expect(await t.until(heard.closed)).toBe("internal error: a bug of ours");
      expect(t.faults).toEqual([mine]);
    });

    it("closes a link whose listener finds that the peer broke the protocol", async () => {
      const { client, server } = await pair();
      server.listen({
        ...IGNORE,
        onFrame: (f) => {
          throw new ProtocolError(`no "${f.opcode}" frame here`);
        },
      });
      const heard = record(client);
      client.sendFrame(frame({ opcode: "export" }));
      expect(await t.until(heard.closed)).toBe('no "export" frame here');
      expect(t.faults).toEqual([]);
    });

    it("refuses a hello with the code and the words of the server", async () => {
      const { address } = await t.listen({
        ...serverOptions,
        refuse: ({ role }) => ({ code: "NOT_A_MEMBER", message: `no ${role} here` }),
      });
      const error = await refusal(t.dialer.dial(address, HELLO));
      expect(error.code).toBe("NOT_A_MEMBER");
      expect(error.message).toBe(`${address} refused: no worker here`);
    });

    it("refuses a peer that speaks no common version, naming both and the remedy", async () => {
      const { address } = await t.listen(serverOptions);
      const protocol = { min: PROTOCOL_MAX + 1, max: PROTOCOL_MAX + 2 };
      const socket = await opened(address);
      const heard = recordSocket(socket);
      // A field of a later version does not stand in the way of the answer.
      socket.send(JSON.stringify({ type: "hello", protocol, role: "worker", name: "tomorrow", later: true }));
      await t.until(heard.closed);
      const refuse = JSON.parse(heard.texts[0]!) as ControlOf<"refuse">;
      expect(refuse).toMatchObject({ type: "refuse", code: "PROTOCOL_VERSION" });
      expect(refuse.message).toContain(`tomorrow speaks protocol ${protocol.min}–${protocol.max}`);
      expect(refuse.message).toContain("upgrade this side");
    });

    it("refuses a first message that is no hello", async () => {
      const { address } = await t.listen(serverOptions);
      for (const first of [encodeControl({ type: "status-request" }), new Uint8Array(64), "{}"]) {
        const socket = await opened(address);
        const heard = recordSocket(socket);
        socket.send(first);
        const { reason } = await t.until(heard.closed);
        expect(reason.length).toBeGreaterThan(10);
        expect(heard.texts.at(-1)).toContain('"PROTOCOL_VIOLATION"');
      }
    });

    it("closes a connection that says no hello in time", async () => {
      const { address } = await t.listen(serverOptions);
      const socket = await opened(address);
      const heard = recordSocket(socket);
      await t.clock.advance(LIMITS.helloTimeoutMs + 100);
      expect(await t.until(heard.closed)).toMatchObject({ reason: `no answer within ${LIMITS.helloTimeoutMs} ms` });
    });

    it("refuses a hello that it fails to answer, and passes the error on", async () => {
      const { address } = await t.listen({
        ...serverOptions,
        refuse: () => {
          throw new Error("the server fails");
        },
      });
      const error = await refusal(t.dialer.dial(address, HELLO));
      expect(error.message).toContain(address);
      expect(t.faults).toHaveLength(1);
    });

    it("says what it cannot connect to, as a retryable error", async () => {
      const { address, close } = await t.listen(serverOptions);
      await t.until(close());
      const error = await refusal(t.dialer.dial(address, HELLO));
      expect(error.code).toBe("COORDINATOR_UNAVAILABLE");
      expect(error.retryable).toBe(true);
      expect(error.message).toContain(`cannot connect to ${address}`);
    });

    async function collecting(): Promise<{ address: string; links: Link[] }> {
      const links: Link[] = [];
      serverOptions.onLink = (link) => {
        links.push(link);
        link.listen(IGNORE);
      };
      const { address } = await t.listen(serverOptions);
      return { address, links };
    }

    async function opened(address: string): Promise<Socket> {
      const socket = t.connect(address);
      await t.until(new Promise<void>((resolve) => (socket.onopen = () => resolve())));
      return socket;
    }

    /** A raw socket past its hello. */
    async function greeted(address: string): Promise<Socket> {
      const socket = await opened(address);
      const welcome = new Promise<void>((resolve) => (socket.onmessage = () => resolve()));
      socket.send(
        encodeControl({
          type: "hello",
          protocol: { min: PROTOCOL_MAX, max: PROTOCOL_MAX },
          role: "worker",
          name: "raw",
        }),
      );
      await t.until(welcome);
      return socket;
    }

    async function refusal(dial: Promise<Link>): Promise<ClusterError> {
      const outcome = await t.until(dial.catch((error: unknown) => error));
      expect(outcome).toBeInstanceOf(ClusterError);
      return outcome as ClusterError;
    }
  });
}

const IGNORE: LinkEvents = { onControl: () => {}, onFrame: () => {}, onClose: () => {} };

interface Recording {
  readonly messages: (Control | Frame)[];
  readonly closed: Promise<string>;
  closes: number;
  /** Resolves once `n` messages have come. */
  count(n: number): Promise<void>;
}

function record(link: Link): Recording {
  const messages: (Control | Frame)[] = [];
  let awaited = { n: Infinity, resolve: () => {} };
  const take = (message: Control | Frame) => {
    messages.push(message);
    if (messages.length >= awaited.n) awaited.resolve();
  };
  let close: (reason: string) => void;
  const recording: Recording = {
    messages,
    closed: new Promise((resolve) => (close = resolve)),
    closes: 0,
    count: (n) =>
      new Promise((resolve) => {
        awaited = { n, resolve };
        if (messages.length >= n) resolve();
      }),
  };
  link.listen({
    onControl: take,
    onFrame: take,
    onClose: (reason) => {
      recording.closes++;
      close(reason);
    },
  });
  return recording;
}

function recordSocket(socket: Socket): { texts: string[]; closed: Promise<{ code: number; reason: string }> } {
  const texts: string[] = [];
  socket.onmessage = ({ data }) => texts.push(String(data));
  return { texts, closed: new Promise((resolve) => (socket.onclose = resolve)) };
}

function numberOf(message: Control | Frame): number {
  if ("opcode" in message) return message.requestId;
  return message.type === "close-job" ? message.job : -1;
}

/** Faster than a deep comparison of millions of numbers. */
function firstDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return i;
  return -1;
}
