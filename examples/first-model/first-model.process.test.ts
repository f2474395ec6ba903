/** The README's commands, as they stand there, on fewer rows; and its five lines from plain tfjs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const ROOT = path.join(import.meta.dirname, "../..");
const ROWS = 10_000;
const NEW_ROWS = 1_000;

/** Outside of the clone: nothing there has Volary's packages but Volary. */
let my = "";
beforeAll(async () => {
  my = await mkdtemp(path.join(tmpdir(), "volary-first-model-"));
});
afterAll(() => rm(my, { recursive: true }));

const readme = await readFile(path.join(import.meta.dirname, "README.md"), "utf8");
const blocks = (source: string, kind: string): string[] =>
  Array.from(source.matchAll(new RegExp(`^\`\`\`${kind}\n([\\s\\S]*?)^\`\`\``, "gm")), ([, block]) => block!);
const commands = blocks(readme, "sh").flatMap((block) => block.trimEnd().split("\n"));

/** Runs a command of the README from source, its folder `my` being the temporary one. */
async function run(command: string) {
  const [npm, verb, script, dashes, ...words] = command.split(" ");
  expect([npm, verb, dashes], command).toEqual(["npm", "run", "--"]);
  const args = words.map((word) => word.replace(/^my(?=\/|$)/, my));
  if (args[0]?.endsWith("make-csv.ts")) args.push("--rows", String(ROWS));
  const program = { volary: ["packages/cli/src/main.ts"], node: [] }[script!];
  const child = spawn(process.execPath, ["--conditions=volary-source", ...program!, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

const inMy = (name: string): Promise<string> => readFile(path.join(my, name), "utf8");

describe("the README of the first model", () => {
  test("its commands take a CSV file to predictions, one after the other", async () => {
    const said = new Map<string, string>();
    for (const command of commands) {
      const { code, stdout, stderr } = await run(command);
      expect(code, `${command}\n${stderr}`).toBe(0);
      said.set(command, stdout + stderr);
    }
    const saidBy = (words: string): string => said.get(commands.find((command) => command.includes(words))!)!;

    expect(saidBy("make-csv")).toContain(`visits.csv: ${ROWS} rows of user, item, category, tags, price, time, bought`);
    expect(saidBy("data inspect")).toMatch(/^user +int64 [\s\S]*^tags +string [\s\S]*^bought +int64 /m);
    const job = await inMy("job.ts");
    for (const words of ['csv("visits.csv"', 'split("tags", "|")', 'standardise("price")', 'label: "bought"'])
      expect(job).toContain(words);

    const [, auc] = /auc (0\.\d+) /.exec(saidBy("train"))!;
    expect(Number(auc)).toBeGreaterThan(0.6);
    expect(await inMy("model/report.html")).toContain("visits");

    const [header, ...rows] = (await inMy("predictions.csv")).trimEnd().split("\n");
    expect(header).toBe("row,prediction");
    const predictions = rows.map((row) => row.split(",").map(Number));
    expect(predictions.map(([row]) => row)).toEqual(Array.from({ length: NEW_ROWS }, (_, row) => row));
    expect(predictions.every(([, prediction]) => prediction! > 0 && prediction! < 1)).toBe(true);
    const shown = /^ *9 +(0\.\d{4})$/m.exec(saidBy("predict"))![1];
    expect(predictions[9]![1]!.toFixed(4)).toBe(shown);

    expect(saidBy("fit.ts")).toMatch(/val_loss: 0\.\d+[\s\S]*Float32Array\(1\) \[ 0\.\d+ \]/);
  }, 240_000);

  test("a job is never written over one that is there", async () => {
    const inspect = commands.find((command) => command.includes("data inspect"))!;
    const before = await inMy("job.ts");
    const { code, stderr } = await run(inspect);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/job\.ts: it exists; delete it/) });
    expect(await inMy("job.ts")).toBe(before);
  });

  test("its five lines, and those of the front page, are what fit.ts and plain-tfjs.ts differ in", async () => {
    const linesOf = async (name: string): Promise<string[]> =>
      (await readFile(path.join(import.meta.dirname, name), "utf8")).split("\n").slice(1);
    const [plain, fit] = await Promise.all([linesOf("plain-tfjs.ts"), linesOf("fit.ts")]);
    const removed = plain.filter((line) => !fit.includes(line));
    const added = fit.filter((line) => !plain.includes(line));
    expect(added).toHaveLength(5);
    const frontPage = await readFile(path.join(ROOT, "README.md"), "utf8");
    for (const page of [readme, frontPage]) {
      const lines = blocks(page, "diff")[0]!.trimEnd().split("\n");
      const marked = (mark: string) => lines.filter((line) => line[0] === mark).map((line) => line.slice(1));
      expect({ removed: marked("-"), added: marked("+") }).toEqual({ removed, added });
    }
  });
});
