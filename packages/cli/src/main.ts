#!/usr/bin/env node
/** The `volary` program: everything else is loaded where Node has what that needs, as an import is resolved before any line runs. */
export {};

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
