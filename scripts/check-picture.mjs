/**
 * @file Holds the picture in ARCHITECTURE.md against the code: the same arrows, no more and no fewer.
 *
 * The picture's nodes are packages, core's folders, and the folders outside packages/. An arrow is an import, tests
 * left out; what lies directly in a package's src belongs to no folder and draws no arrow.
 */
import { posix } from "node:path";

const TEST = /(\.(test|contract)|\/test-[\w-]+)\.[a-z]+$/;

/**
 * @param {string} markdown
 * @returns {Set<string>} "from → to"
 */
export function arrowsOf(markdown) {
  const picture = /```mermaid\ngraph TD\n([\s\S]*?)```/.exec(markdown)?.[1] ?? "";
  const lines = picture.replaceAll(/\["[^"]*"\]/g, "").split("\n");
  return new Set(
    lines.flatMap((line) => {
      const [from, targets] = line.split("-->").map((side) => side.trim());
      return targets === undefined ? [] : targets.split("&").map((to) => `${from} → ${to.trim()}`);
    }),
  );
}

/**
 * @param {string} markdown
 * @param {Parameters<typeof import("./check-structure.mjs").structureErrors>[0]} code
 * @returns {string[]} one sentence for each arrow that is missing or too many
 */
export function pictureErrors(markdown, { files, packages }) {
  const drawn = arrowsOf(markdown);
  const real = new Set();
  for (const { path, imports } of files) {
    if (TEST.test(path)) continue;
    for (const { specifier } of imports) {
      const target = packages.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
      const to = specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : target?.folder;
      const arrow = to === undefined ? undefined : arrowBetween(path, to);
      if (arrow) real.add(arrow);
    }
  }
  return [
    ...[...real].filter((arrow) => !drawn.has(arrow)).map((arrow) => `ARCHITECTURE.md lacks the arrow ${arrow}`),
    ...[...drawn]
      .filter((arrow) => !real.has(arrow))
      .map((arrow) => `ARCHITECTURE.md draws ${arrow}, which no file imports`),
  ];
}

/** @param {string} from @param {string} to */
function arrowBetween(from, to) {
  const [near, far] = [nodeOf(from), nodeOf(to)];
  return near === undefined || far === undefined || near === far ? undefined : `${near} → ${far}`;
}

/** @param {string} path */
function nodeOf(path) {
  const [top, name, , folder] = path.split("/");
  if (top !== "packages") return ["examples", "sim", "benches"].includes(top ?? "") ? top : undefined;
  if (name !== "core" || path === "packages/core") return name;
  return folder?.includes(".") ? undefined : folder;
}
