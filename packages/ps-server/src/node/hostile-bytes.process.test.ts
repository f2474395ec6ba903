/**
 * A coordinator and a PS node on real sockets, under a thousand and more messages of garbage on hundreds of
 * connections, while one honest client sets and reads rows: every answer it gets is right, and both live on.
 */
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Requests, TableClient } from "@volary/core/client";
import { LIMITS } from "@volary/core/limits";
import type { TableSpec } from "@volary/core/table";
import { seededRandom, type SeededRandom } from "@volary/core/testing";
import {
  encodeControl,
  encodeFrame,
  frame,
  OPCODES,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  type ControlOf,
  type Link,
  type Opcode,
  type Role,
} from "@volary/core/wire";
import { WebSocket } from "ws";
import { memoryStore } from "../coordinator/store.ts";
import { fixedLinks } from "../testing/fixed-links.ts";
import { manifestWith } from "../testing/test-manifest.ts";
import { startCoordinator, type RunningCoordinator } from "./coordinator-server.ts";
import { realClock } from "./clock.ts";
import { wsDialer } from "./dial.ts";
import { startPsServer, type RunningPsServer } from "./ps-server.ts";

const MESSAGES = 2000;
const CONNECTIONS_AT_ONCE = 16;
const TABLE: TableSpec = { id: 1, name: "items", dim: 4, initializer: { kind: "zeros" }, optimizer: { kind: "none" } };
/** Garbage is made with other keys than these. */
const KEYS = BigUint64Array.from({ length: 100 }, (_, i) => 0xffff_0000_0000n + BigInt(i));

let coordinator: RunningCoordinator;
let ps: RunningPsServer;
const logs: string[] = [];

beforeAll(async () => {
  const log = (message: string) => logs.push(message);
  coordinator = await startCoordinator({ port: 0, store: memoryStore(), log, partitionsLog2: 2 });
  ps = await startPsServer({ coordinator: coordinator.address, name: "ps-1", log });
});
afterAll(async () => {
  await ps.stop();
  await coordinator.stop();
});

it("garbage closes the connections it comes over, and nothing else", async () => {
  const { tables, job } = await honestClient();
  const random = seededRandom(11);
  let attacking = true;
  let reads = 0;
  const honest = (async () => {
    for (let round = 1; attacking || round < 20; round++) {
      const values = Float32Array.from({ length: KEYS.length * TABLE.dim }, (_, i) => round + i);
      await tables.set({ table: TABLE, keys: KEYS, values });
      expect(await tables.get({ table: TABLE, keys: KEYS })).toEqual(values);
      reads++;
    }
  })();

  const sent = { texts: 0, frames: 0, connections: 0 };
  const attack = async () => {
    while (sent.texts + sent.frames < MESSAGES) {
      const address = random.next() < 0.5 ? coordinator.address : ps.address;
      const messages = garbage(random, job);
      for (const message of messages) sent[typeof message === "string" ? "texts" : "frames"]++;
      sent.connections++;
      const role = (["worker", "client", "ps"] as const)[random.below(3)]!;
      await speak(address, messages, { hello: random.next() < 0.9 ? role : undefined, reset: random.next() < 0.2 });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, attack));
  await Promise.all(
    [coordinator.address, ps.address].flatMap((address) => rawAttacks.map((bytes) => tcp(address, bytes))),
  );
  attacking = false;
  await honest;

  expect(Math.min(sent.texts, sent.frames)).toBeGreaterThan(MESSAGES / 4);
  expect(sent.connections).toBeGreaterThan(100);
  expect(reads).toBeGreaterThan(10);
  expect(logs.filter((line) => line.includes("a bug in Volary"))).toEqual([]);
  for (const { address } of [coordinator, ps]) {
    expect(await (await fetch(`${address.replace("ws", "http")}/health`)).text()).toBe("ok");
  }
});

/** A job of one table, opened and ready to be used. */
async function honestClient(): Promise<{ tables: TableClient; job: number }> {
  const hello = { role: "client", name: "honest" } as const;
  const link = await wsDialer().dial(coordinator.address, hello);
  const submitted = new Promise<ControlOf<"submitted">>((resolve, reject) => {
    link.listen({
      onControl: (control) => (control.type === "submitted" ? resolve(control) : undefined),
      onFrame: () => {},
      onClose: (reason) => reject(new Error(reason)),
    });
  });
  link.sendControl({
    type: "submit",
    manifest: manifestWith({ name: "honest", tables: [TABLE] }),
  });
  const { job, map } = await submitted;
  const requests = new Requests();
  const node: Link = await wsDialer().dial(ps.address, hello);
  node.listen({
    onControl: (control) => void (control.type === "error" && requests.takeError(control)),
    onFrame: (f) => void requests.takeFrame(f),
    onClose: (reason) => requests.failLink(node, reason),
  });
  const links = fixedLinks({ map, link: () => node });
  return { job, tables: new TableClient({ job, links, requests, clock: realClock }) };
}

/** A few messages, each broken in its own way. */
function garbage(random: SeededRandom, job: number): (string | Uint8Array)[] {
  const bytes = (length: number) => Uint8Array.from({ length }, () => random.below(256));
  const good = () => {
    const opcodes = Object.keys(OPCODES) as Opcode[];
    const K = random.below(5);
    return encodeFrame(
      frame({
        opcode: opcodes[random.below(opcodes.length)]!,
        job: random.next() < 0.7 ? job : random.below(9),
        step: random.below(4),
        attempt: random.below(3),
        term: random.below(3),
        slot: random.below(9),
        table: random.below(3),
        cursor: random.below(2) * 0xffff_ffff,
        tables: Uint32Array.of(random.below(3)),
        partitions: Uint32Array.of(random.next() < 0.9 ? random.below(6) : random.below(2 ** 32)),
        generations: Uint32Array.of(random.below(4)),
        sequences: Uint32Array.of(random.below(4)),
        counts: Uint32Array.of(K),
        keys: Uint32Array.from({ length: 2 * K }, () => random.below(1000)),
        values: Float32Array.from({ length: random.below(2) === 0 ? K * TABLE.dim : random.below(9) }, () =>
          random.next(),
        ),
      }),
    );
  };
  const kinds: (() => string | Uint8Array)[] = [
    () => bytes(random.below(200)),
    () => bytes(64 + 8 * random.below(20)),
    () => good().subarray(0, random.below(100)), // cut short
    () => {
      const broken = good();
      broken[random.below(64)] = random.below(256); // one byte of the header
      return broken;
    },
    good, // well-formed, but not allowed, not known, or not fitting
    () => String.fromCharCode(...bytes(random.below(60))),
    () =>
      `{"type":"${["hello", "fence", "map", "ps-join", "evaluated", "nonsense", "__proto__"][random.below(7)]}","job":${random.below(5)}}`,
    () =>
      encodeControl({ type: "commit", job, step: random.below(9), attempt: 1, term: 1, heads: 1 }).slice(
        0,
        random.below(80),
      ),
    () =>
      encodeControl({
        type: "start",
        job,
        step: 1 + random.below(9),
        attempt: 1,
        term: random.below(9),
        heads: random.below(9),
        slots: random.below(9),
        members: [],
      }),
    () => encodeControl({ type: "ready", job, trainRows: 1, testRows: 1, fingerprint: "x" }),
    () => encodeControl({ type: "watch", job: random.below(100) }),
    () => encodeControl({ type: "map-request" }),
    () => encodeControl({ type: "chain-ready", partition: random.below(5), generation: 1, next: [random.below(3)] }),
    () => encodeControl({ type: "chain-broken", partition: random.below(5), generation: 1, node: 1, message: "no" }),
    () => encodeControl({ type: "fence", job, term: random.below(3), heads: random.below(3) }),
    () => "[".repeat(random.below(5000)),
  ];
  return Array.from({ length: 1 + random.below(8) }, () => kinds[random.below(kinds.length)]!());
}

/** Says it all over one connection and waits until that is closed, by either side. */
async function speak(
  address: string,
  messages: readonly (string | Uint8Array)[],
  how: { hello: Role | undefined; reset: boolean },
): Promise<void> {
  const socket = new WebSocket(address);
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await once(socket, "open");
  const protocol = { min: PROTOCOL_MIN, max: PROTOCOL_MAX };
  if (how.hello) socket.send(encodeControl({ type: "hello", protocol, role: how.hello, name: "hostile", id: 2 }));
  for (const message of messages) socket.send(message);
  if (how.reset) socket.terminate();
  else socket.close();
  await closed;
}

const UPGRADE =
  "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/** Below the WebSocket: no HTTP, no frames, frames that lie about their length. */
const rawAttacks: Buffer[] = [
  Buffer.from("\u0000\u0001\u0002 nonsense\r\n\r\n"),
  Buffer.from("GET / HTTP/9.9\r\n\r\n"),
  Buffer.from(`GET /${"x".repeat(100_000)} HTTP/1.1\r\n\r\n`),
  Buffer.from(UPGRADE.replace("13", "x")),
  Buffer.concat([Buffer.from(UPGRADE), Buffer.from([0xff, 0xff, 0xff, 0xff])]),
  // A binary message of 2^40 bytes, and one of just over the limit.
  Buffer.concat([Buffer.from(UPGRADE), Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4])]),
  Buffer.concat([Buffer.from(UPGRADE), header(LIMITS.frameBytesMax + 1)]),
  // Not masked; and text that is not UTF-8.
  Buffer.concat([Buffer.from(UPGRADE), Buffer.from([0x82, 0x01, 0x00])]),
  Buffer.concat([Buffer.from(UPGRADE), Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28])]),
];

function header(length: number): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.set([0x82, 0xff]);
  bytes.writeBigUInt64BE(BigInt(length), 2);
  return bytes;
}

/** Sends bytes and waits until the server has closed the connection. */
async function tcp(address: string, bytes: Buffer): Promise<void> {
  const socket = connectTcp(Number(new URL(address).port), "127.0.0.1");
  socket.on("error", () => {}).resume();
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.write(bytes);
  await closed;
}
