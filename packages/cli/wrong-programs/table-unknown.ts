// expect: Property 'count' does not exist on type
import { Cluster } from "../src/index.ts";

const cluster = await Cluster.local({ ps: 1, workers: 1 });
const tables = await cluster.tables({ counts: { dim: 1, update: "count" } });
await tables.count.pull([7n]); // wrong
