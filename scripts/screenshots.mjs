/**
 * @file Takes the pictures in `docs/images`: `node scripts/screenshots.mjs`, by hand, after the pages have changed. It
 * runs a real cluster that trains the demo, with two volunteers in Chromium.
 */
import { afterBootstrap } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

await afterBootstrap(({ node, env }) => runInherited(node, ["scripts/take-screenshots.mjs"], { env }));
