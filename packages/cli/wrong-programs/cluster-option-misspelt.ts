// expect: 'worker' does not exist in type 'LocalOptions'. Did you mean to write 'workers'?
import { Cluster } from "../src/index.ts";

await Cluster.local({ ps: 2, worker: 2 }); // wrong
