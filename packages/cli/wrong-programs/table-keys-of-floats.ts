// expect: 'Float64Array<ArrayBuffer>' is not assignable to parameter of type 'Keys'
import { Cluster } from "../src/index.ts";

const cluster = await Cluster.local({ ps: 1, workers: 1 });
const { counts } = await cluster.tables({ counts: { dim: 1, update: "count" } });
await counts.pull(Float64Array.of(1, 2)); // wrong
