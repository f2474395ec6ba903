/** @file `npm run bench -- NAME --json`: runs one bench; without NAME it lists them. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterBootstrap, root } from "./bootstrap.mjs";
import { runInherited } from "./processes.mjs";

const folder = join(root, "benches/src");

/** Every file of benches/src is a bench; what benches share lies in folders below it. */
const benches = (existsSync(folder) ? readdirSync(folder, { withFileTypes: true }) : [])
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".test.ts"))
  .map((entry) => ({ name: entry.name.slice(0, -".ts".length), about: firstLine(join(folder, entry.name)) }))
  .toSorted((a, b) => (a.name < b.name ? -1 : 1));

const args = process.argv.slice(2);
const name = args[0]?.startsWith("-") ? undefined : args[0];
const rest = name === undefined ? args : args.slice(1);

if (name === undefined) {
  if (rest.includes("--json")) console.log(JSON.stringify({ benches }));
  else for (const bench of benches) console.log(`${bench.name.padEnd(16)} ${bench.about}`);
} else if (benches.every((bench) => bench.name !== name)) {
  console.error(
    `There is no bench "${name}". There are: ${benches.map((bench) => bench.name).join(", ") || "none yet"}.`,
  );
  process.exitCode = 2;
} else {
  await afterBootstrap(({ node, env }) => runInherited(node, [join("benches/src", `${name}.ts`), ...rest], { env }));
}

/**
 * The first sentence of a file's header comment.
 *
 * @param {string} file
 */
function firstLine(file) {
  const header = /^(?:#!.*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(readFileSync(file, "utf8"))?.[1] ?? "";
  const text =
    header
      .replaceAll(/^\s*\* ?/gm, "")
      .replace("@file", "")
      .trim()
      .split("\n\n")[0] ?? "";
  return text.replaceAll(/\s+/g, " ");
}
