import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

/** Source without layout: the formatter may break the sample's lines, and add the commas that go with it. */
const withoutLayout = (source: string): string =>
  source
    .replaceAll(/\/\/.*$/gm, "")
    .replaceAll(/\s+/g, "")
    .replaceAll(/,([)\]}])/g, "$1");

test("the model in README.md is this folder's sample, word for word", async () => {
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const block = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  const sample = await readFile(new URL("sample.ts", import.meta.url), "utf8");
  expect(withoutLayout(block!)).toBe(withoutLayout(sample));
});
