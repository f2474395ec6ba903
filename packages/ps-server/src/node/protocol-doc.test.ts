/** docs/protocol.md names what there is: every opcode with its number, every message, every field, every code, every limit it quotes. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { partitionMapSchema } from "@volary/core/partition";
import { controlSchema, FRAME_VERSION, HEADER_BYTES, OPCODES, PROTOCOL_MAX } from "@volary/core/wire";

const page = readFileSync(new URL("../../../../docs/protocol.md", import.meta.url), "utf8");

/** The text under a heading. */
function section(heading: string): string {
  const [, text] = page.split(`\n## ${heading}\n`);
  if (text === undefined) throw new Error(`there is no section "${heading}"`);
  return text.split("\n## ", 1)[0]!;
}

it("names every opcode with its number", () => {
  for (const [name, id] of Object.entries(OPCODES)) expect(page).toContain(`| ${id} | \`${name}\` |`);
  expect(page.match(/^\| \d+ \| `\w+` \|/gm)).toHaveLength(Object.keys(OPCODES).length);
});

it("names every control message with its fields", () => {
  const hello = new Set(["hello", "welcome", "refuse"]);
  for (const { shape } of controlSchema.options) {
    const { type, ...fields } = shape;
    const row = section("Control messages")
      .split("\n")
      .find((line) => line.startsWith("| ") && line.split("|")[1]!.includes(`\`${type.value}\``));
    expect(row, type.value).toBeDefined();
    if (!hello.has(type.value))
      for (const field of Object.keys(fields)) expect(row, type.value).toMatch(new RegExp(`\\b${field}\\b`));
  }
});

it("names every field of a partition's entry, and every section of a frame", () => {
  for (const field of Object.keys(partitionMapSchema.shape.entries.element.shape))
    expect(section("Chains of replicas")).toContain(`| \`${field}\``);
  for (const name of ["tables", "partitions", "generations", "sequences", "counts", "keys", "values"])
    expect(section("Frames")).toMatch(new RegExp(`^\\| ${name} \\| \\w+\\[`, "m"));
});

it("names every error code", () => {
  const source = readFileSync(new URL("../../../core/src/errors.ts", import.meta.url), "utf8");
  const codes = Array.from(source.matchAll(/^ {2}\| "([A-Z_]+)"/gm), ([, code]) => code!);
  expect(codes.length).toBeGreaterThan(10);
  for (const code of codes) expect(page).toContain(`\`${code}\``);
});

it("quotes the numbers of the code", () => {
  expect(page).toContain(`Protocol version ${PROTOCOL_MAX}, frame version ${FRAME_VERSION}`);
  expect(page).toContain(`A header of ${HEADER_BYTES} bytes`);
  for (const limit of [
    "tablesPerFrameMax",
    "segmentsPerFrameMax",
    "keysPerFrameMax",
    "valuesPerFrameMax",
    "parkedPullsMax",
    "linksMax",
  ] as const) {
    expect(page).toMatch(new RegExp(`\\b${LIMITS[limit]}\\b|\\b${LIMITS[limit].toLocaleString("en")}\\b`));
  }
});
