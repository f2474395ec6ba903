/** For tests: a port for a server that goes away and comes back. */
import { once } from "node:events";
import { createServer } from "node:net";
import { pid } from "node:process";

/** Below those that systems choose from: Linux from 32,768 on, others from 49,152. */
const [FROM, PORTS] = [20_000, 12_000];
/** Enough for one file of tests; each runs in a process of its own. */
const OF_PROCESS = 64;
let next = (pid * OF_PROCESS) % PORTS;

/**
 * A free port on loopback that stays free while nobody listens there. One that the system chose does not: as soon as it
 * is closed, the next connection of any process may begin there.
 *
 * @throws {Error} none is free
 */
export async function ownPort(): Promise<number> {
  for (let tried = 0; tried < PORTS; tried++) {
    const port = FROM + (next++ % PORTS);
    const server = createServer();
    const isFree = once(server, "listening").then(
      () => true,
      () => false,
    );
    server.listen(port, "127.0.0.1");
    if (!(await isFree)) continue;
    server.close();
    await once(server, "close");
    return port;
  }
  throw new Error(`no port from ${FROM} to ${FROM + PORTS - 1} on 127.0.0.1 is free; end what listens there`);
}
