import type { JobManifest } from "@volary/core/job";
import { expect, test } from "vitest";
import { functionRefusal } from "./function-refusal.ts";

const compile = (loss: JobManifest["compile"]["loss"]): JobManifest["compile"] => ({
  optimizer: { kind: "none" },
  loss,
  metrics: [],
});

test("a tab refuses a job that trains with a function, naming it and who can serve it", () => {
  const refused = functionRefusal({ name: "likes", compile: compile({ function: "bpr", sha256: "a".repeat(64) }) });
  expect(refused).toMatchObject({ code: "BAD_JOB" });
  expect(refused!.message).toBe(
    'job "likes" trains with the function "bpr" of a plugin file, which no browser can run: serve it with `volary worker --plugin FILE`',
  );
});

test("a tab serves a job whose loss has a name", () => {
  expect(functionRefusal({ name: "clicks", compile: compile("binaryCrossentropy") })).toBeUndefined();
});
