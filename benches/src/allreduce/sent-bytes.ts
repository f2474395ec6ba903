/**
 * Bytes that this process has written to TCP connections, as the kernel was handed them: headers and all.
 *
 * They are read from the handle below a socket: a link may move it to a socket of its own once it is open.
 */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

interface CountingHandle {
  readonly bytesWritten: number;
}

const handles: CountingHandle[] = [];
const count = ({ _handle: handle }: { _handle: CountingHandle }) => void handles.push(handle);

subscribe("net.server.socket", (message) =>
  count((message as { socket: Socket & { _handle: CountingHandle } }).socket),
);
subscribe("net.client.socket", (message) => {
  const { socket } = message as { socket: Socket & { _handle: CountingHandle } };
  socket.once("connect", () => count(socket));
});

/** Over all connections since this module was loaded; those still open are counted. */
export function sentBytes(): number {
  return handles.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
}
