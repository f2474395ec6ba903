/**
 * @file Checks the layout of the code: which package may import which, no cycle between folders, no huge file.
 *
 * The graph's nodes are the folders below packages/*\/src; a file that lies in src itself is a node of its own.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, posix, relative, sep } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { linkErrorsIn } from "./check-links.mjs";
import { pictureErrors } from "./check-picture.mjs";

const LINES_MAX = 1000;
const SOURCE = /\.(ts|tsx|mts|js|mjs)$/;
const TEST = /(\.(test|contract)|\/test-[\w-]+)\.[a-z]+$/;
const NOT_OURS = new Set(["node_modules", "dist", "coverage", "runs"]);

/** What each package may import of the workspace. Everything outside packages/ may import every package. */
const MAY_IMPORT = new Map([
  ["packages/core", []],
  ["packages/ps-server", ["packages/core"]],
  ["packages/node-worker", ["packages/core"]],
  ["packages/browser-worker", ["packages/core"]],
  ["packages/cli", ["packages/core", "packages/ps-server", "packages/node-worker", "packages/browser-worker"]],
]);

/** The only folders of core that know TensorFlow.js, so that a parameter server never loads it. */
const CORE_TFJS_FOLDERS = ["packages/core/src/model/", "packages/core/src/training/"];

/**
 * @typedef {{ specifier: string, isType: boolean }} Import
 * @typedef {{ path: string, lines: number, imports: Import[] }} SourceFile paths are relative, with slashes
 * @typedef {{ folder: string, name: string, exports: Record<string, string> }} Package exports: subpath to source file
 */

/**
 * Everything that is wrong with the layout, one sentence each.
 *
 * @param {{ files: readonly SourceFile[], packages: readonly Package[] }} code
 * @returns {string[]}
 */
export function structureErrors({ files, packages }) {
  const edges = files.flatMap((file) =>
    file.imports.map((found) => ({ file, found, to: resolved(file, found, packages) })),
  );
  return [
    ...files
      .filter((file) => file.lines > LINES_MAX)
      .map((file) => `${file.path} has ${file.lines} lines, the limit is ${LINES_MAX}: split it by noun`),
    ...edges.flatMap(({ file, found, to }) => importErrors(file, found, to, packages)),
    ...tfjsErrors(files, edges),
    ...cycles(folderGraph(edges)).map((cycle) => `folders import each other in a cycle: ${cycle.join(" → ")}`),
  ];
}

/**
 * @param {SourceFile} file
 * @param {Import} found
 * @param {string | undefined} to
 * @param {readonly Package[]} packages
 */
function importErrors(file, { specifier }, to, packages) {
  const from = packages.find(({ folder }) => file.path.startsWith(`${folder}/`));
  if (from === undefined) return [];
  const errors = [];
  const target = specifier.startsWith(".")
    ? packages.find(({ folder }) => to?.startsWith(`${folder}/`))
    : packages.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
  if (specifier.startsWith(".")) {
    if (target !== from) errors.push(`${file.path} leaves its package by "${specifier}": import the package by name`);
  } else if (target === from) {
    errors.push(`${file.path} imports its own package as "${specifier}": use a relative path`);
  } else if (target !== undefined) {
    const allowed = MAY_IMPORT.get(from.folder);
    if (!MAY_IMPORT.has(target.folder))
      errors.push(`${file.path} imports "${specifier}": nothing may import ${target.folder}`);
    else if (allowed && !allowed.includes(target.folder)) {
      errors.push(
        `${file.path} imports "${specifier}": ${from.folder} may import ${allowed.join(", ") || "no package"}`,
      );
    } else if (to === undefined)
      errors.push(`${file.path} imports "${specifier}", which ${target.name} does not export`);
  }
  if (from.folder === "packages/core") {
    if (isBuiltin(specifier)) errors.push(`${file.path} imports "${specifier}": core runs without Node`);
    const isTfjs = specifier.startsWith("@tensorflow/");
    if (isTfjs && !TEST.test(file.path) && !CORE_TFJS_FOLDERS.some((folder) => file.path.startsWith(folder))) {
      errors.push(`${file.path} imports "${specifier}": in core only ${CORE_TFJS_FOLDERS.join(" and ")} know tfjs`);
    }
  }
  return errors;
}

/**
 * A parameter server starts without TensorFlow.js: nothing it loads, however far away, may import it.
 *
 * @param {readonly SourceFile[]} files
 * @param {readonly { file: SourceFile, found: Import, to: string | undefined }[]} edges
 */
function tfjsErrors(files, edges) {
  const starts = files.filter(({ path }) => path.startsWith("packages/ps-server/src/") && !TEST.test(path));
  const queue = starts.map(({ path }) => [path]);
  const seen = new Set(starts.map(({ path }) => path));
  for (const trail of queue) {
    for (const { file, found, to } of edges) {
      if (file.path !== trail.at(-1) || found.isType) continue;
      if (found.specifier.startsWith("@tensorflow/")) {
        return [`the parameter server loads ${found.specifier}: ${trail.join(" → ")}`];
      }
      if (to === undefined || seen.has(to)) continue;
      seen.add(to);
      queue.push([...trail, to]);
    }
  }
  return [];
}

/**
 * The source file an import means; undefined for what lies outside the workspace.
 *
 * @param {SourceFile} file
 * @param {Import} found
 * @param {readonly Package[]} packages
 */
function resolved(file, { specifier }, packages) {
  if (specifier.startsWith(".")) return posix.join(posix.dirname(file.path), specifier);
  for (const { folder, name, exports } of packages) {
    if (specifier !== name && !specifier.startsWith(`${name}/`)) continue;
    const source = exports[`.${specifier.slice(name.length)}`];
    return source === undefined ? undefined : posix.join(folder, source);
  }
  return undefined;
}

/**
 * @param {readonly { file: SourceFile, to: string | undefined }[]} edges
 * @returns {Map<string, Set<string>>}
 */
function folderGraph(edges) {
  const graph = new Map();
  for (const { file, to } of edges) {
    if (to === undefined || !inPackage(file.path) || !inPackage(to) || TEST.test(file.path) || TEST.test(to)) continue;
    const [from, target] = [folderOf(file.path), folderOf(to)];
    if (from !== target) graph.set(from, (graph.get(from) ?? new Set()).add(target));
  }
  return graph;
}

/** @param {string} path */
const inPackage = (path) => path.startsWith("packages/");

/** @param {string} path */
const folderOf = (path) => (posix.basename(posix.dirname(path)) === "src" ? path : posix.dirname(path));

/**
 * One cycle for each group of nodes that reach each other (depth first: an edge back into the trail closes one).
 *
 * @param {ReadonlyMap<string, ReadonlySet<string>>} graph
 * @returns {string[][]}
 */
export function cycles(graph) {
  /** @type {string[][]} */
  const found = [];
  const done = new Set();
  /** @param {string} node @param {readonly string[]} trail */
  const visit = (node, trail) => {
    const start = trail.indexOf(node);
    if (start >= 0) return void found.push([...trail.slice(start), node]);
    if (done.has(node)) return;
    for (const next of graph.get(node) ?? []) visit(next, [...trail, node]);
    done.add(node);
  };
  for (const node of graph.keys()) visit(node, []);
  return found;
}

/**
 * The modules a source text imports. Comments are dropped first; specifiers are literals in our code.
 *
 * @param {string} text
 * @returns {Import[]}
 */
export function importsOf(text) {
  const code = text.replaceAll(/("(?:[^"\\\n]|\\.)*")|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (_, string) => string ?? " ");
  const statement = /^[ \t]*(import|export)(\s+type)?\b(?:[^"';=()]*?\bfrom\s*|\s*)"([^"\n]+)"/gm;
  const call = /\bimport\(\s*"([^"\n]+)"/g;
  return [
    ...Array.from(code.matchAll(statement), ([, , type, specifier = ""]) => ({
      specifier,
      isType: type !== undefined,
    })),
    ...Array.from(code.matchAll(call), ([, specifier = ""]) => ({ specifier, isType: false })),
  ];
}

/** @param {string} root */
export function readCode(root) {
  const folders = ["packages", "examples"].flatMap((parent) => {
    const names = existsSync(join(root, parent)) ? readdirSync(join(root, parent)) : [];
    return names.map((name) => `${parent}/${name}`);
  });
  const packages = [...folders, "sim", "benches"].flatMap((folder) => {
    const file = join(root, folder, "package.json");
    if (!existsSync(file)) return [];
    const { name, exports = {} } = JSON.parse(readFileSync(file, "utf8"));
    /** @type {[string, Record<string, string>][]} */
    const entries = Object.entries(exports);
    const sources = entries.flatMap(([subpath, entry]) => {
      const source = entry["volary-source"];
      return source === undefined ? [] : [/** @type {const} */ ([subpath, source])];
    });
    return [{ folder, name, exports: Object.fromEntries(sources) }];
  });
  const files = [...packages.map(({ folder }) => folder), "scripts"].flatMap((folder) =>
    sourceFiles(root, join(root, folder)),
  );
  return { files, packages };
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {SourceFile[]}
 */
function sourceFiles(root, folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : sourceFiles(root, path);
    if (!SOURCE.test(entry.name)) return [];
    const text = readFileSync(path, "utf8");
    return [
      { path: relative(root, path).split(sep).join("/"), lines: text.split("\n").length - 1, imports: importsOf(text) },
    ];
  });
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const code = readCode(root);
  const errors = [
    ...structureErrors(code),
    ...pictureErrors(readFileSync(join(root, "ARCHITECTURE.md"), "utf8"), code),
    ...linkErrorsIn(root),
  ];
  for (const error of errors) console.error(error);
  process.exitCode = errors.length > 0 ? 1 : 0;
}
