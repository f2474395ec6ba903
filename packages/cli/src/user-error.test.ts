import { ClusterError } from "@volary/core/errors";
import { expect, test } from "vitest";
import { failureText, UserError } from "./user-error.ts";

test.each([
  [new UserError("no job file a.ts; give one"), "volary: no job file a.ts; give one"],
  [new ClusterError("TIMEOUT", "nobody answers"), "volary: nobody answers"],
  [new RangeError("two\n  lines"), "volary: two lines"],
  [
    new TypeError('job "x": compile.loss is 1; use one of "meanSquaredError"'),
    'volary: job "x": compile.loss is 1; use one of "meanSquaredError"',
  ],
  [
    new TypeError("a.b is not a function"),
    "volary: a.b is not a function; this is a bug in Volary or in the job file, VOLARY_DEBUG=1 shows where",
  ],
  ["a string", "volary: a string"],
])("failureText(%s) is one line without a stack", (error, text) => {
  expect(failureText(error, { debug: false })).toBe(text);
});

test("failureText() shows the stack and the cause for VOLARY_DEBUG", () => {
  const text = failureText(new UserError("above", { cause: new Error("below") }), { debug: true });
  expect(text).toMatch(/^volary: UserError: above\n {4}at .*user-error\.test\.ts/);
  expect(text).toMatch(/caused by Error: below\n {4}at /);
});
