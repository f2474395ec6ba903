/**
 * Bytes over this process's TCP connections, both ways, as the kernel was handed them: headers, masks, keys and all.
 *
 * They are read from the handle below a socket: a link may move it to a socket of its own once it is open.
 */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

interface CountingHandle {
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

const connections: { port: number; handle: CountingHandle }[] = [];
subscribe("net.client.socket", (message) => {
  const { socket } = message as { socket: Socket & { _handle: CountingHandle } };
  socket.once("connect", () => connections.push({ port: socket.remotePort!, handle: socket._handle }));
});

/**
 * Over all connections that this process opened to one of these ports and that are open still; the module must be loaded
 * before they are.
 *
 * @throws {Error} there is none
 */
export function bytesTo(ports: readonly number[]): number {
  const counted = connections.filter(({ port }) => ports.includes(port));
  if (counted.length === 0) throw new Error(`no connection to port ${ports.join(" or ")} was seen`);
  return counted.reduce((sum, { handle }) => sum + handle.bytesRead + handle.bytesWritten, 0);
}
