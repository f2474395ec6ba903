/**
 * @file `node scripts/gpu-check.mjs`: on a machine with a GPU, says whether each device computes right, and how fast it
 * does a large recommender's step, beside PyTorch and wasm. `--out FILE` keeps the figures; see docs/devices.md.
 */
import { afterBootstrap } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

await afterBootstrap(async ({ node, env }) => {
  await runInherited(node, ["packages/cli/dist/main.js", "doctor", "--fresh"], { env });
  return await runInherited(node, ["benches/src/devices/gpu-check.ts", ...process.argv.slice(2)], { env });
});
