/** How long rounds are waited for. */
import { expect, it } from "vitest";
import { LIMITS } from "../../../limits.ts";
import { RoundPace } from "./round-pace.ts";

it("a round is waited for as long as may be, until it is known what rounds take", () => {
  const pace = new RoundPace();
  expect(pace.waitMs).toBe(LIMITS.leafFirstMs);
  for (const ms of [300, 320, 310]) pace.note(ms);
  expect(pace.waitMs).toBe(310 + LIMITS.lateDeviations * 10);
});

it("a wait is never shorter than the least, nor longer than the longest", () => {
  const pace = new RoundPace();
  for (const ms of [1, 1, 1]) pace.note(ms);
  expect(pace.waitMs).toBe(LIMITS.leafLateMsMin);
  for (let i = 0; i < 100; i++) pace.note(10 * LIMITS.leafFirstMs);
  expect(pace.waitMs).toBe(LIMITS.leafFirstMs);
});

it("a wait doubles while rounds fail, and is as before after one that does not", () => {
  const pace = new RoundPace();
  for (let i = 0; i < 5; i++) pace.note(400);
  pace.fail();
  pace.fail();
  expect(pace.waitMs).toBe(1600);
  pace.note(400);
  expect(pace.waitMs).toBe(400);
});
