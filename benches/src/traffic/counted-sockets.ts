/** Bytes over this process's TCP connections, both ways, as the kernel was handed them: headers, masks, keys and all. */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const sockets: Socket[] = [];
subscribe("net.client.socket", (message) => void sockets.push((message as { socket: Socket }).socket));

/** Over all connections that this process opened to one of these ports; the module must be loaded before they are. */
export function bytesTo(ports: readonly number[]): number {
  const counted = sockets.filter(({ remotePort }) => remotePort !== undefined && ports.includes(remotePort));
  return counted.reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, 0);
}
