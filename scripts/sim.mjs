/** @file `npm run sim -- --seeds N --first-seed S --json`: the whole-cluster simulation. */
import { afterBootstrap } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

await afterBootstrap(({ node, env }) => runInherited(node, ["sim/src/main.ts", ...process.argv.slice(2)], { env }));
