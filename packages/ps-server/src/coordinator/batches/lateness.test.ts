import { expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { Lateness } from "./lateness.ts";

it("a batch is late by what the newest took, and not before there are any", () => {
  const lateness = new Lateness();
  expect(lateness.deadlineMs).toBe(Infinity);
  lateness.note(10);
  expect(lateness.deadlineMs).toBe(LIMITS.lateMsMin);
  for (const ms of [4000, 5000, 6000]) lateness.note(ms);
  expect(lateness.deadlineMs).toBe(4500 + 1000 * LIMITS.lateDeviations);
  for (let times = 0; times < 64; times++) lateness.note(9000);
  expect(lateness.deadlineMs).toBe(9000);
});
