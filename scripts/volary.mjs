/** @file `npm run volary -- …`: the command, from a clone. */
import { afterBootstrap } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

await afterBootstrap(({ node, env }) =>
  runInherited(node, ["packages/cli/dist/main.js", ...process.argv.slice(2)], { env }),
);
