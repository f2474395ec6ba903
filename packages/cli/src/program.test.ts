import { expect, test } from "vitest";
import { volaryProgram } from "./program.ts";

const commands = [...volaryProgram().commands];

/** What `--help` prints. */
function helpOf(name: string): string {
  let text = "";
  const command = volaryProgram().commands.find((each) => each.name() === name)!;
  command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
  return text;
}

test("the program has the commands people rely on", () => {
  expect(commands.map((command) => command.name()).toSorted()).toEqual([
    "bench",
    "coordinator",
    "data",
    "device",
    "doctor",
    "drain",
    "gateway",
    "invite",
    "predict",
    "ps",
    "status",
    "train",
    "up",
    "worker",
  ]);
});

test.each(commands.map((command) => command.name()))(
  "volary %s --help says what it does and ends with an example",
  (name) => {
    const help = helpOf(name);
    expect(help).toMatch(new RegExp(`^Usage: volary ${name} .+\n\n[a-z].+[^.]\n`));
    expect(help).toMatch(/\nExamples?:\n( {2}\$ volary .+\n)+$/);
    expect(help).toContain(`$ volary ${name}`);
  },
);

test.each(["train", "predict", "up", "status", "drain", "doctor"])("volary %s reports as --json", (name) => {
  expect(helpOf(name)).toContain("--json");
});

test("what a parent process tells its children is no business of people", () => {
  for (const command of commands) expect(helpOf(command.name())).not.toContain("--machine");
});
