import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { encodeControl, frame, PROTOCOL_MAX, type LinkFault } from "@volary/core/wire";
import { WebSocketServer } from "ws";
import { wsDialer } from "./dial.ts";

it("gives up a peer that does not read what it is sent", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  await new Promise((resolve) => server.once("listening", resolve));
  server.on("connection", (socket) =>
    socket.once("message", () => {
      socket.send(encodeControl({ type: "welcome", protocol: PROTOCOL_MAX, name: "deaf" }));
      socket.pause();
    }),
  );
  const address = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const dialer = wsDialer({ unsentBytesMax: 1024 * 1024 });
  const link = await dialer.dial(address, { role: "leaf", name: "tab", id: 1, job: 1 });
  let fault: LinkFault | undefined;
  link.listen({ onControl: () => {}, onFrame: () => {}, onClose: (_, why) => (fault = why) });
  const values = new Float32Array(1024 * 1024);
  for (let sent = 0; sent < 16 && !fault; sent++) {
    link.sendFrame(frame({ opcode: "leafRowGradients", values }));
    await new Promise(setImmediate);
  }
  expect(fault).toBe("SLOW_READER");
});
