import { describe, expect, it, test } from "vitest";
import { parseFragment } from "@volary/core/job";
import type { JobStatus } from "@volary/core/wire";
import { insecureWarning, inviteOf, jobToHelp, linksOf } from "./invitation.ts";
import { jobStatus } from "../testing/job-status.ts";

const job = (number: number, name: string, phase: JobStatus["phase"]): JobStatus =>
  jobStatus(0, { job: number, name, phase });
const OLD = job(1, "flights", "done");
const NEW = job(2, "flights", "training");
const OTHER = job(3, "books", "waiting");

describe("jobToHelp()", () => {
  it("is the only one under way, where none is named", () => {
    expect(jobToHelp({ jobs: [OLD, NEW] })).toBe(NEW);
  });

  it("is the one of a number, or of a name, whose run under way goes first", () => {
    const jobs = [OLD, NEW, OTHER];
    expect(jobToHelp({ jobs }, "3")).toBe(OTHER);
    expect(jobToHelp({ jobs }, 1)).toBe(OLD);
    expect(jobToHelp({ jobs }, "flights")).toBe(NEW);
    expect(jobToHelp({ jobs: [OLD] }, "flights")).toBe(OLD);
  });

  it("says what there is, where that is not clear", () => {
    expect(() => jobToHelp({ jobs: [OLD] })).toThrow(/no job is under way .* `volary train/);
    expect(() => jobToHelp({ jobs: [NEW, OTHER] })).toThrow("several jobs are under way: 2 (flights), 3 (books)");
    expect(() => jobToHelp({ jobs: [NEW] }, "film")).toThrow('no job "film"; under way are 2 (flights)');
  });
});

describe("linksOf()", () => {
  const invited = {
    type: "invited" as const,
    tokens: ["a-token", "b-token"],
    keyId: "key",
    urls: ["https://g.example"],
  };

  it("gives one link for each token, which the page can read", () => {
    const links = linksOf(invited, undefined);
    expect(links).toEqual(["https://g.example/join#t=a-token&k=key", "https://g.example/join#t=b-token&k=key"]);
    expect(parseFragment(new URL(links[1]!).hash)).toEqual({ token: "b-token", keyId: "key" });
  });

  it("takes the address that is named", () => {
    expect(linksOf(invited, "https://other.example/")[0]).toBe("https://other.example/join#t=a-token&k=key");
  });

  it("says how to start a gateway where there is none", () => {
    expect(() => linksOf({ ...invited, urls: [] }, undefined)).toThrow(/start one with `volary gateway/);
  });
});

test("inviteOf() refuses what no coordinator takes", () => {
  expect(() => inviteOf({ uses: 0 }, 1)).toThrow("uses: 0");
  expect(() => inviteOf({ forMs: Infinity }, 1)).toThrow("forMs: Infinity");
  expect(() => inviteOf({ by: "x".repeat(201) }, 1)).toThrow("by: 201 characters");
  expect(() => inviteOf({ about: "x".repeat(2001) }, 1)).toThrow("about: 2001 characters");
  expect(() => inviteOf({ role: "observer", trusted: true }, 1)).toThrow("trusted: not possible for an observer");
  const usual = { role: "volunteer", uses: 1, validMs: 1_800_000, trusted: false };
  expect(inviteOf({ by: "me" }, 7)).toMatchObject({ job: 7, ...usual, by: "me" });
  expect(inviteOf({ role: "observer" }, 7)).toMatchObject({ ...usual, role: "observer" });
});

test.each([
  ["https://help.example/join#t=a", false],
  ["http://localhost:7171/join", false],
  ["http://127.0.0.1:7171/join", false],
  ["http://[::1]:7171/join", false],
  ["http://10.0.0.1:7171/join", true],
  ["http://127.example/join", true],
])("insecureWarning() of %s", (link, isWarned) => {
  const warning = insecureWarning(link);
  if (isWarned) expect(warning).toMatch(/no secure context: .*WebGPU.*docs\/volunteers\.md/);
  else expect(warning).toBeUndefined();
});
