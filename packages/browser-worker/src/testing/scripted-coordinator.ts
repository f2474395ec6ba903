/**
 * A coordinator of which the dashboard sees all that it may ever see: it serves the built page under the policy that a
 * real one has, and answers a client over a real WebSocket from a script.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { acceptLink, type Control, type Link, type Socket } from "@volary/core/wire";
import { WebSocketServer } from "ws";
import { realClock } from "../clock.ts";
import { CONTENT_TYPES, POLICY } from "./served.ts";

export interface ScriptedCoordinatorOptions {
  /** With dashboard.html and what it asks for. */
  pages: string;
  /** What a client hears when it has said something. */
  answers: (control: Control) => Control[];
}

export interface ScriptedCoordinator {
  /** http://127.0.0.1:port/ */
  url: string;
  /** Of each client that is connected. */
  links: Set<Link>;
  /** Breaks all connections, and new ones at once, until it is back. Its port stays its own meanwhile. */
  leave(): void;
  comeBack(): void;
  stop(): Promise<void>;
}

export async function serveScriptedCoordinator(o: ScriptedCoordinatorOptions): Promise<ScriptedCoordinator> {
  const http = createServer((request, response) => {
    const path = request.url === "/" ? "dashboard.html" : normalize(request.url ?? "").slice(1);
    readFile(join(o.pages, path)).then(
      (body) =>
        response
          .writeHead(200, {
            "content-type": CONTENT_TYPES[extname(path)] ?? "application/octet-stream",
            "content-security-policy": POLICY,
          })
          .end(body),
      () => response.writeHead(404).end(),
    );
  });
  const links = new Set<Link>();
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
  sockets.on("connection", async (socket) => {
    const accepted = await acceptLink({ socket: socket as unknown as Socket, name: "scripted", clock: realClock });
    if (!accepted) return;
    const { link } = accepted;
    links.add(link);
    link.listen({
      onControl: (control) => {
        for (const answer of o.answers(control)) link.sendControl(answer);
      },
      onFrame: () => {},
      onClose: () => links.delete(link),
    });
  });
  let isAway = false;
  http.on("connection", (socket) => void (isAway && socket.destroy()));
  const disconnectAll = () => {
    for (const socket of sockets.clients) socket.terminate();
    http.closeAllConnections();
  };
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}/`,
    links,
    leave: () => {
      isAway = true;
      disconnectAll();
    },
    comeBack: () => {
      isAway = false;
    },
    stop: async () => {
      disconnectAll();
      http.close();
      await once(http, "close");
    },
  };
}
