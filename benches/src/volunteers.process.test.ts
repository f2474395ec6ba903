import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--flights", "15360", "--batch", "256"];

test(
  "liars that are not kept out, not harmful or not looked for are noticed, and so is help that does not come",
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr } = await runBench("volunteers", "--control", ...SMALL);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  },
);

test(
  "two liars of seven are expelled, by where they point or by audits, and nobody else is",
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr, report } = await runBench("volunteers", "--part", "poison", ...SMALL);
    expect(code, stderr).toBe(0);
    expect(report).toMatchObject({
      name: "volunteers",
      metrics: {
        robustExpelledAfter: expect.toSatisfy((updates: number) => updates > 0),
        auditExpelledAfter: expect.toSatisfy((updates: number) => updates > 0),
        onlyLiarsExpelled: true,
      },
    });
  },
);
