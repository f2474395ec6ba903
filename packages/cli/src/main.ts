#!/usr/bin/env node
/** The `volary` program: everything else is loaded where Node has what that needs, as an import is resolved before any line runs. */
import module from "node:module";

// Every role is a process of the same files: Node keeps what it compiled them to, which saves a third of each start and more.
// It is absent before Node 22.1, and NODE_DISABLE_COMPILE_CACHE=1 turns it off.
module.enableCompileCache?.();

/** The first that lets a program say where a job file's packages are (`module.registerHooks`). */
const NODE_MIN = [22, 15] as const;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) {
  await import("./process.ts");
} else {
  process.stderr.write(
    `volary: this is Node ${process.version}, and Volary needs ${NODE_MIN.join(".")} or later; ` +
      "`npm install --global node@24` brings one, and so does https://nodejs.org\n",
  );
  process.exitCode = 2;
}
