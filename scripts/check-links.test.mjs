import { expect, test } from "vitest";
import { anchorsOf, linkErrors } from "./check-links.mjs";

test("anchorsOf() names headings as GitHub does, and leaves out code", () => {
  const page = '# Ab `c()`\n## Is all well?\n### x-y\n### X-Y\n```sh\n# no heading\n```\n<a id="property-x"></a>';
  expect([...anchorsOf(page)]).toEqual(["property-x", "ab-c", "is-all-well", "x-y", "x-y-1"]);
});

test("linkErrors() follows links to files, folders and headings, and none to other sites", () => {
  const there = new Set(["README.md", "docs/a.md", "docs/images"]);
  const errorsOf = (/** @type {string} */ link) =>
    linkErrors(
      new Map([
        ["README.md", "# Top"],
        ["docs/a.md", `# A\n[x](${link})`],
      ]),
      (path) => there.has(path),
    );
  for (const right of ["../README.md", "../README.md#top", "#a", "images", "https://volary.invalid/x"])
    expect([right, errorsOf(right)]).toEqual([right, []]);
  expect(errorsOf("b.md")).toEqual(["docs/a.md links to b.md, and there is no docs/b.md"]);
  expect(errorsOf("../README.md#end")).toEqual([
    "docs/a.md links to ../README.md#end, and README.md has no such heading",
  ]);
});
