/** @file `npm run node -- FILE …`: a program of yours, on the Node that Volary runs on; it takes TypeScript as it is. */
import { afterBootstrap } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

await afterBootstrap(({ node, env }) => runInherited(node, process.argv.slice(2), { env }));
