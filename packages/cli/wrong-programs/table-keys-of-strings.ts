// expect: Type 'string' is not assignable to type 'number | bigint'
import { Cluster } from "../src/index.ts";

const cluster = await Cluster.local({ ps: 1, workers: 1 });
const { counts } = await cluster.tables({ counts: { dim: 1, update: "count" } });
await counts.push(["rome", "paris"]); // wrong
