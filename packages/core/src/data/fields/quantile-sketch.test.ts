import fc from "fast-check";
import { expect, it } from "vitest";
import { QuantileSketch } from "./quantile-sketch.ts";
import { generatorOf, next } from "./xoshiro.ts";

const sketchOf = (values: Iterable<number>): QuantileSketch => {
  const sketch = new QuantileSketch();
  for (const value of values) sketch.add(value);
  return sketch;
};

it("edges() are exact for up to 16,384 numbers", () => {
  const someValues = fc.array(fc.oneof(fc.double({ noNaN: true }), fc.integer({ min: 0, max: 5 })), {
    minLength: 1,
    maxLength: 200,
  });
  fc.assert(
    fc.property(someValues, fc.integer({ min: 2, max: 30 }), (values, parts) => {
      const sorted = values.toSorted((a, b) => a - b);
      const expected = Array.from(
        { length: parts - 1 },
        (_, i) => sorted[Math.floor((values.length * (i + 1)) / parts)]! + 0,
      );
      expect(
        sketchOf(values)
          .edges(parts)
          .map((x) => x + 0),
      ).toEqual([...new Set(expected)]);
    }),
  );
});

it.each(["in random order", "ascending", "descending"] as const)(
  "edges() of half a million numbers %s are within 0.05 %% of their rank",
  (order) => {
    const count = 500_000;
    const random = generatorOf(1, 2);
    const values = Float64Array.from({ length: count }, () => next(random));
    const sorted = values.toSorted();
    const given = order === "ascending" ? sorted : order === "descending" ? sorted.toReversed() : values;
    const sketch = sketchOf(given);
    expect(sketch.count).toBe(count);
    const edges = sketch.edges(100);
    expect(edges).toHaveLength(99);
    for (const [i, edge] of edges.entries()) {
      const below = sorted.findIndex((value) => value >= edge);
      expect(Math.abs(below - (count * (i + 1)) / 100)).toBeLessThan(0.0005 * count);
    }
    expect(sketchOf(given).edges(100)).toEqual(edges);
  },
);
