/**
 * What a process that holds a port and its children, which serve behind it, tell each other: connections from the one,
 * counts from the others.
 *
 * A connection is handed over once its HTTP upgrade was read, since the path names the child. The child then reads the
 * same bytes again, as if they had come to it: it is a server like any other, which checks all of it by itself.
 */
import type { ChildProcess } from "node:child_process";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { MetricObjectWithValues, MetricValue } from "prom-client";
import type { Doorway } from "./listen.ts";

export type MetricsJson = MetricObjectWithValues<MetricValue<string>>[];

/** From the parent; a connection's socket travels with its message. */
type ToChild =
  | { type: "serve"; address: string }
  | { type: "connection"; read: string }
  | { type: "metrics"; request: number };

/** From a child. */
export type ToParent = { type: "joined"; node: number } | { type: "metrics"; request: number; metrics: MetricsJson };

/** A child's side of the door. */
export interface PsDoor extends Doorway {
  tell: (message: ToParent) => void;
  /** Whom to ask for counts. */
  onMetrics: (metrics: () => Promise<MetricsJson>) => void;
  /** Resolves when the parent wants this process to end, or is gone. */
  readonly closed: Promise<void>;
}

/**
 * Waits for the parent of this process to say where it serves.
 *
 * @throws {Error} this process has no parent that speaks to it
 */
export async function openPsDoor(): Promise<PsDoor> {
  if (!process.send) throw new Error("this process was not started to serve behind another one");
  let take: (socket: Socket) => void = (socket) => socket.destroy();
  let metrics: () => Promise<MetricsJson> = async () => [];
  const tell = (message: ToParent) => {
    // A parent that is gone needs no answer: the channel's end ends this process.
    if (process.connected) process.send!(message, undefined, undefined, () => {});
  };
  const closed = new Promise<void>((resolve) => process.once("disconnect", resolve));
  const address = await new Promise<string>((resolve, reject) => {
    void closed.then(() => reject(new Error("the process that holds the port is gone")));
    process.on("message", (message: ToChild, socket?: Socket) => {
      if (message.type === "serve") resolve(message.address);
      else if (message.type === "connection") receive(message.read, socket, (s) => take(s));
      else
        void metrics().then(
          (counts) => tell({ type: "metrics", request: message.request, metrics: counts }),
          () => tell({ type: "metrics", request: message.request, metrics: [] }),
        );
    });
  });
  return { address, tell, closed, onConnection: (to) => (take = to), onMetrics: (from) => (metrics = from) };
}

/** Tells a child where it serves. */
export function openChildDoor(child: ChildProcess, address: string): void {
  send(child, { type: "serve", address });
}

/** Hands a connection to a child: all that comes over it from now on, and what was read of it. */
export function handOver(child: ChildProcess, o: { request: IncomingMessage; socket: Socket; head: Buffer }): void {
  const { request, socket, head } = o;
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
  }
  const read = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), head]).toString("base64");
  // Until the child says that it has the socket, this process has it, too; what it read of it now would be lost. `net`
  // keeps reading however the socket is paused, so its handle has to stop.
  (socket as unknown as { _handle: { readStop(): number } | null })._handle?.readStop();
  child.send({ type: "connection", read } satisfies ToChild, socket, (error) => {
    if (error) socket.destroy();
  });
}

/** Asks a child for its counts; the answer comes as a message with the request's number. */
export function askMetrics(child: ChildProcess, request: number): void {
  send(child, { type: "metrics", request });
}

function receive(read: string, socket: Socket | undefined, take: (socket: Socket) => void): void {
  if (!socket) return; // it was closed on its way
  socket.on("error", () => socket.destroy());
  socket.unshift(Buffer.from(read, "base64"));
  take(socket);
}

function send(child: ChildProcess, message: ToChild): void {
  if (child.connected) child.send(message, () => {});
}
