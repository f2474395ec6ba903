/**
 * Loads one of tfjs's native bindings. They are optional: their library is downloaded at install, and where that
 * failed the package is absent or throws when imported.
 */
import { createRequire } from "node:module";

/** @throws {Error} not installed, or its library does not load: why, and the command that mends it */
export async function loadBinding(name: "@tensorflow/tfjs-node" | "@tensorflow/tfjs-node-gpu"): Promise<void> {
  keepNodeUtil();
  try {
    await import(name);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new Error(
      `${name} does not load (${why}); install it with \`npm install ${name}\` where its library can be downloaded`,
      { cause },
    );
  }
}

/**
 * tfjs-node 4.22 calls two functions that Node 23 removed (tensorflow/tfjs issue 8609). Delete this once a release
 * of tfjs-node does without.
 */
function keepNodeUtil(): void {
  const util = createRequire(import.meta.url)("node:util") as Record<string, unknown>;
  util["isNullOrUndefined"] ??= (value: unknown) => value === null || value === undefined;
  util["isArray"] ??= Array.isArray;
}
