// expect: Type '"gpu"' is not assignable to type '"auto" | DeviceName
import { Cluster } from "../src/index.ts";

await Cluster.local({ device: "gpu" }); // wrong
