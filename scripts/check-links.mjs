/**
 * @file Holds the links of our pages against what is there: files and folders of the clone, and headings of pages.
 *
 * Other sites are not asked. Headings are named as GitHub names them: the second of two equal ones ends in "-1".
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, posix } from "node:path";

/** Where pages are; the root's own are taken, too. */
const FOLDERS = ["docs", "benches", "examples", "packages", "sim"];
const NOT_OURS = new Set(["node_modules", "dist", "runs"]);
const LINK = /\]\(([^)\s]+)\)/g;
const ELSEWHERE = /^[a-z]+:/;

/**
 * @param {ReadonlyMap<string, string>} pages text of each, by its path in the clone
 * @param {(path: string) => boolean} exists of a file or folder of the clone
 * @returns {string[]} a sentence for each link that leads nowhere
 */
export function linkErrors(pages, exists) {
  return Array.from(pages).flatMap(([path, text]) =>
    Array.from(withoutCode(text).matchAll(LINK), ([, link = ""]) => link)
      .filter((link) => !ELSEWHERE.test(link))
      .flatMap((link) => {
        const [file = "", heading] = link.split("#");
        const target = file === "" ? path : posix.join(posix.dirname(path), decodeURI(file));
        if (!exists(target)) return [`${path} links to ${link}, and there is no ${target}`];
        const page = pages.get(target);
        if (heading === undefined || page === undefined || anchorsOf(page).has(heading)) return [];
        return [`${path} links to ${link}, and ${target} has no such heading`];
      }),
  );
}

/**
 * What links may name after the #.
 *
 * @param {string} text of a page
 * @returns {Set<string>}
 */
export function anchorsOf(text) {
  const ids = Array.from(text.matchAll(/<a id="([^"]+)">/g), ([, id = ""]) => id);
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const [, heading = ""] of withoutCode(text).matchAll(/^#+ (.+)$/gm)) {
    const words = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .trim()
      .toLowerCase();
    const name = words.replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(/\s/g, "-");
    const before = times.get(name) ?? 0;
    times.set(name, before + 1);
    ids.push(before === 0 ? name : `${name}-${before}`);
  }
  return new Set(ids);
}

/**
 * What is wrong with the links of a clone.
 *
 * @param {string} root
 */
export function linkErrorsIn(root) {
  const own = readdirSync(root).filter((name) => name.endsWith(".md"));
  const paths = [...own, ...FOLDERS.flatMap((folder) => pagesIn(root, folder))];
  const pages = new Map(paths.map((path) => [path, readFileSync(join(root, path), "utf8")]));
  return linkErrors(pages, (path) => existsSync(join(root, path)));
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {string[]}
 */
function pagesIn(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : pagesIn(root, path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** @param {string} text */
const withoutCode = (text) => text.replaceAll(/^```[\s\S]*?^```/gm, "");
