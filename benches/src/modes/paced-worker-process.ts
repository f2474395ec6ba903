/** A worker of a cluster that takes its time by waiting: a program of its own, so that it can be killed. */
import { text } from "node:stream/consumers";
import { startWorker } from "@volary/node-worker";
import { pacedModel, unpaced, type Pacing } from "./paced-model.ts";

/** What this process is started with. */
export interface PacedWorkerRequest extends Pick<Pacing, "sliceSamples" | "ledger"> {
  coordinator: string;
  name: string;
  stepMs: number;
}

const { coordinator, name, stepMs, sliceSamples, ledger } = JSON.parse(process.argv[2]!) as PacedWorkerRequest;
const pacing: Pacing = { ...unpaced(), paceMs: () => stepMs, sliceSamples, ledger };
const worker = await startWorker({
  coordinator,
  name,
  device: "cpu",
  throughModel: (model) => pacedModel(model, pacing),
});
console.log(JSON.stringify({ ready: true }));
await text(process.stdin); // it ends when it is asked to
await worker.stop();
process.exit(0);
