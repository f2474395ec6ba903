/** A worker of a cluster that knows how many bytes it exchanged with the parameter servers: a program of its own. */
import { createInterface } from "node:readline";
import { bytesTo } from "./counted-sockets.ts";
import { startWorker } from "@volary/node-worker";

/** What this process is started with. */
export interface CountingWorkerRequest {
  coordinator: string;
  /** Ports of the parameter servers. */
  ports: readonly number[];
  /** Where the job's data is looked for. */
  baseDir: string;
}

const { coordinator, ports, baseDir } = JSON.parse(process.argv[2]!) as CountingWorkerRequest;
const worker = await startWorker({ coordinator, device: "wasm", baseDirs: [baseDir] });
console.log(JSON.stringify({ ready: true }));
for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify({ bytes: bytesTo(ports) }));
await worker.stop();
process.exit(0);
