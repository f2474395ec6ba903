/** @file `npm start`: the demo, on a fresh clone too. */
import { afterBootstrap } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

await afterBootstrap(({ node, env }) =>
  runInherited(node, ["examples/flights/main.ts", ...process.argv.slice(2)], { env }),
);
