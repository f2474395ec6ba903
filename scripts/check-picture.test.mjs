import { expect, test } from "vitest";
import { arrowsOf, pictureErrors } from "./check-picture.mjs";
import { importsOf } from "./check-structure.mjs";

const picture = (/** @type {string} */ body) => `# Parts\n\`\`\`mermaid\ngraph TD\n${body}\n\`\`\`\n`;
const packages = [
  { folder: "packages/core", name: "@volary/core", exports: {} },
  { folder: "packages/cli", name: "volary", exports: {} },
];
const files = Object.entries({
  "packages/cli/src/main.ts": `import "@volary/core/wire";`,
  "packages/core/src/wire/link.ts": `import "../job/index.ts"; import "../errors.ts"; import "./frame.ts";`,
  "packages/core/src/wire/link.test.ts": `import "../data/index.ts";`,
  "sim/src/main.ts": `import "volary";`,
}).map(([path, text]) => ({ path, lines: 1, imports: importsOf(text.replaceAll("; ", ";\n")) }));

test("arrowsOf() reads labels, groups and subgraphs", () => {
  const arrows = arrowsOf(picture('  cli["cli: all"] --> core & ps\n  subgraph core["core: x"]\n    a --> b\n  end'));
  expect([...arrows]).toEqual(["cli → core", "cli → ps", "a → b"]);
});

test("a true picture has no errors", () => {
  expect(pictureErrors(picture("  cli --> core\n  sim --> cli\n  wire --> job"), { files, packages })).toEqual([]);
});

test("an arrow too many and one too few are named", () => {
  expect(pictureErrors(picture("  cli --> core\n  wire --> job & data"), { files, packages })).toEqual([
    "ARCHITECTURE.md lacks the arrow sim → cli",
    "ARCHITECTURE.md draws wire → data, which no file imports",
  ]);
});
