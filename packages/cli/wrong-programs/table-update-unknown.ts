// expect: Type '"add"' is not assignable to type '"count" | "max" | "set" | "sum" | OptimizerSpec'
import { Cluster } from "../src/index.ts";

const cluster = await Cluster.local({ ps: 1, workers: 1 });
await cluster.tables({ counts: { dim: 1, update: "add" } }); // wrong
