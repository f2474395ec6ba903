import * as tfl from "@tensorflow/tfjs-layers";
import { describe, expect, it } from "vitest";
import { pairPlaces, pairwiseDot, type PairwiseDotArgs } from "./pairwise-dot.ts";

const embedding = (...shape: number[]) => tfl.input({ shape });
const shapeOf = (inputs: tfl.SymbolicTensor | tfl.SymbolicTensor[], args: PairwiseDotArgs = {}) =>
  (pairwiseDot(args).apply(inputs) as tfl.SymbolicTensor).shape;

describe("pairwiseDot", () => {
  it("refuses what are no embeddings of one width", () => {
    const remedy =
      "apply it to 2 or more embeddings [null,D], as through([a, b, c], pairwiseDot()), or to one tensor [null,F,D]";
    expect(() => shapeOf(embedding(8))).toThrow(new TypeError(`pairwiseDot(): got shape [null,8]; ${remedy}`));
    expect(() => shapeOf(embedding(1, 8))).toThrow(new TypeError(`pairwiseDot(): got shape [null,1,8]; ${remedy}`));
    expect(() => shapeOf([embedding(8), embedding(4)])).toThrow(
      new TypeError("pairwiseDot(): embeddings must have one width; got shapes [null,8] and [null,4]"),
    );
    expect(() => shapeOf([embedding(3, 8), embedding(3, 8)])).toThrow(/one width; got shapes \[null,3,8\]/);
  });

  it("refuses malformed arguments", () => {
    expect(() => pairwiseDot({ self: "yes" as "with" })).toThrow(
      new TypeError('pairwiseDot(): self is "yes"; use one of "without", "with".'),
    );
    expect(() => pairwiseDot({ selves: "with" } as PairwiseDotArgs)).toThrow(/"selves" is unknown/);
  });

  it("gives F(F−1)/2 features, or F(F+1)/2 of embeddings that meet themselves too", () => {
    const five = () => Array.from({ length: 5 }, () => embedding(8));
    expect(shapeOf(five())).toEqual([null, 10]);
    expect(shapeOf(five(), { self: "with" })).toEqual([null, 15]);
    expect(shapeOf(embedding(5, 8))).toEqual([null, 10]);
    expect(shapeOf(embedding(1, 8), { self: "with" })).toEqual([null, 1]);
  });

  it("puts pairs in the order of the upper triangle, row by row", () => {
    expect([...pairPlaces(3, "without").upper]).toEqual([1, 2, 5]);
    expect([...pairPlaces(3, "with").upper]).toEqual([0, 1, 2, 4, 5, 8]);
  });
});
