/**
 * What the compiler says of wrong programs. Each file of `packages/cli/wrong-programs` is a program with one mistake,
 * on the line that ends in `// wrong`; its first line says which words of the compiler's a person is to understand.
 * One compilation serves all; `right-programs.ts` is there to show that the types refuse nothing else.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";

const folder = path.join(import.meta.dirname, "../wrong-programs");
const programs = readdirSync(folder).filter((file) => file.endsWith(".ts"));
const wrongPrograms = programs.filter((file) => file !== "right-programs.ts");

interface Complaint {
  file: string;
  /** From 1. */
  line: number;
  message: string;
}

let complaints: readonly Complaint[] = [];
beforeAll(() => {
  const compiler = path.join(
    path.dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
    "bin/tsc",
  );
  const args = [compiler, "-p", folder, "--pretty", "false"];
  const { stdout, stderr, error } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
  if (error) throw error;
  if (stdout === "") throw new Error(`the compiler has no complaints: ${stderr}`);
  complaints = complaintsOf(stdout);
}, 120_000);

const complaintsOn = (file: string): Complaint[] => complaints.filter((each) => each.file === file);

describe("the compiler", () => {
  it("takes right programs as they are", () => {
    expect(complaintsOn("right-programs.ts")).toEqual([]);
  });

  it("is shown at least 30 wrong ones", () => {
    expect(wrongPrograms.length).toBeGreaterThanOrEqual(30);
  });

  it.each(wrongPrograms)("tells what is wrong with %s, and where", (file) => {
    const lines = readFileSync(path.join(folder, file), "utf8").split("\n");
    const [, words] = /^\/\/ expect: (.+)$/.exec(lines[0]!)!;
    const marked = lines.flatMap((line, i) => (line.endsWith("// wrong") ? [i + 1] : []));
    const found = complaintsOn(file);
    expect([...new Set(found.map(({ line }) => line))]).toEqual(marked);
    expect(found.map(({ message }) => message).join("\n")).toContain(words);
  });
});

/** A complaint is a line as `file.ts(7,3): error TS2322: …`, and the indented lines after it. */
function complaintsOf(output: string): Complaint[] {
  const found: Complaint[] = [];
  for (const line of output.split("\n")) {
    const [, file, at, message] = /^(.+)\((\d+),\d+\): error TS\d+: (.*)$/.exec(line) ?? [];
    if (file !== undefined) found.push({ file, line: Number(at), message: message! });
    else if (line.startsWith(" ")) found.at(-1)!.message += `\n${line}`;
  }
  return found;
}
