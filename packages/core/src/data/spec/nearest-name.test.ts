import { describe, expect, it } from "vitest";
import { didYouMean, nearestName, quoted } from "./nearest-name.ts";

describe("nearestName()", () => {
  it.each([
    ["orgin", "origin"],
    ["Origin", "origin"],
    ["destinaton", "destination"],
    ["dealy", "delay"],
    ["dyela", undefined],
    ["xyz", undefined],
    ["", undefined],
  ])("takes %j for %j", (typed, meant) => {
    expect(nearestName(typed, ["date", "delay", "origin", "destination"])).toBe(meant);
  });

  it("makes a sentence, or none", () => {
    expect(didYouMean("dely", ["delay"])).toBe(' Did you mean "delay"?');
    expect(didYouMean("dely", ["origin"])).toBe("");
    expect(quoted(["a", 'b"'])).toBe('"a", "b\\""');
  });
});
