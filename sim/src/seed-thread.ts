/** One thread of a {@link SeedPool}: runs the seeds that it is sent, one by one. */
import { parentPort } from "node:worker_threads";
import { runSeed } from "./run-seed.ts";
import type { SeedRequest } from "./seed-pool.ts";
import type { Fault } from "./seed-result.ts";

/** What nobody awaited is a fault of the seed under way. */
let unhandled: Fault[] = [];
process.on("unhandledRejection", (reason) => {
  const message = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
  unhandled.push({ checker: "errors", message: `nobody handles ${message}` });
});

parentPort!.on("message", ({ seed, sabotage }: SeedRequest) => {
  void runSeed(seed, sabotage === undefined ? {} : { sabotages: new Set([sabotage]) }).then((result) => {
    parentPort!.postMessage({ ...result, faults: [...result.faults, ...unhandled] });
    unhandled = [];
  });
});
