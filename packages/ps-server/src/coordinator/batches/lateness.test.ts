import { expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { Lateness } from "./lateness.ts";

const { lateMsMin, leftOutMsMin, leftOutFirstMs, lateDeviations } = LIMITS;

it("a batch is late by what the newest took, and not before there are any", () => {
  const lateness = new Lateness();
  expect(lateness.deadlineMs).toBe(Infinity);
  lateness.note(10);
  expect(lateness.deadlineMs).toBe(lateMsMin);
  for (const ms of [4000, 5000, 6000]) lateness.note(ms);
  expect(lateness.deadlineMs).toBe(4500 + 1000 * lateDeviations);
  for (let times = 0; times < 64; times++) lateness.note(9000);
  expect(lateness.deadlineMs).toBe(9000);
});

it("remembers no more times than it is to", () => {
  const lateness = new Lateness({ kept: 2 });
  for (const ms of [90_000, 5000, 5000]) lateness.note(ms);
  expect(lateness.deadlineMs).toBe(5000);
});

it("who is waited for far too long is left out, later at its first batch, and not where most are waited for", () => {
  const lateness = new Lateness();
  const members = [1, 2, 3, 4];
  const late = (awaited: readonly number[], now: number) =>
    lateness.tooLate({ members, awaited: new Map(awaited.map((worker) => [worker, 0])), now });
  for (const worker of [1, 2, 3]) lateness.did(worker);
  for (let times = 0; times < 8; times++) {
    expect(late([1], leftOutFirstMs)).toEqual([]);
    lateness.note(100);
  }
  expect(late([1, 4], leftOutMsMin)).toEqual([]);
  expect(late([1, 4], leftOutMsMin + 1)).toEqual([1]);
  expect(late([1, 4], leftOutFirstMs + 1)).toEqual([1, 4]);
  expect(late([1, 2, 4], leftOutFirstMs + 1)).toEqual([]);
  lateness.forget(1);
  expect(late([1], leftOutFirstMs)).toEqual([]);
  for (let times = 0; times < 64; times++) lateness.note(20_000 + 1000 * (times % 3));
  expect(late([2], 21_000 + 1000 * lateDeviations)).toEqual([]);
  expect(late([2], 21_001 + 1000 * lateDeviations)).toEqual([2]);
});
