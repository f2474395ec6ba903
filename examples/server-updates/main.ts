/** Tables of each update in updates.ts on a cluster of this machine: set, push, pull. */
import { Cluster, plugin } from "volary";

const updates = new URL("./updates.ts", import.meta.url);
const cluster = await Cluster.local({ ps: 2, workers: 1, device: "cpu", plugins: [updates] });
const tables = await cluster.tables({
  documents: { dim: 3, update: plugin(updates, "count") },
  seconds: { dim: 1, update: plugin(updates, "sum") },
  best: { dim: 1, update: plugin(updates, "max"), initializer: { kind: "constant", value: -100 } },
  weights: { dim: 2, update: plugin(updates, "clippedSgd", { learningRate: 0.5 }) },
});

// How often each of three words is in two documents, under the keys of two topics.
await tables.documents.push([7n, 8n], [3, 0, 1, 0, 1, 1]);
await tables.documents.push([7n], [2, 2, 0]);
console.log("count       ", await tables.documents.pull([7n, 8n]));

// Equal keys of one push are summed before the update sees them.
await tables.seconds.set([1n], [100]);
await tables.seconds.push([1n, 2n, 1n], [1.5, 2, 0.5]);
console.log("sum         ", await tables.seconds.pull([1n, 2n]));

await tables.best.push([1n], [0.25]);
await tables.best.push([1n, 2n], [0.125, -3]);
console.log("max         ", await tables.best.pull([1n, 2n]));

// A gradient of length 5 counts as one of length 1; the other is short enough.
await tables.weights.push([1n, 2n], [3, 4, 0.5, 0]);
console.log("clipped SGD ", await tables.weights.pull([1n, 2n]));

tables.close();
await cluster.stop();
