import fc from "fast-check";
import { expect, test } from "vitest";
import { chartHtml, niceTicks, rangeOf, smoothed, type Chart } from "./chart.ts";

test("niceTicks() are round, even and reach over the range", () => {
  expect(niceTicks([0, 1980], 5)).toEqual([0, 500, 1000, 1500, 2000]);
  expect(niceTicks([0.413, 0.446], 4)).toEqual([0.41, 0.42, 0.43, 0.44, 0.45]);
  expect(niceTicks([-3, 2], 4)).toEqual([-4, -2, 0, 2]);
  expect(niceTicks([5, 5], 4)).toEqual([5]);
  const bound = fc.double({ min: -1e9, max: 1e9, noNaN: true });
  fc.assert(
    fc.property(bound, fc.double({ min: 1e-6, max: 1e9, noNaN: true }), (low, size) => {
      const ticks = niceTicks([low, low + size], 4);
      const slack = 1e-6 * (Math.abs(low) + size);
      expect(ticks.length).toBeLessThanOrEqual(7);
      expect(ticks[0]).toBeLessThanOrEqual(low + slack);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(low + size - slack);
    }),
  );
});

test("rangeOf() leaves single spikes out, but no part of a line", () => {
  const values = Array.from({ length: 1000 }, (_, i) => (i === 500 ? 1e6 : i / 1000));
  expect(rangeOf({ values, whole: [] })[1]).toBeLessThan(1);
  expect(rangeOf({ values, whole: [2] })[1]).toBe(2);
  expect(rangeOf({ values: [3, 3], whole: [] })).toEqual([2.85, 3.15]);
  expect(rangeOf({ values: [0], whole: [] })).toEqual([-0.5, 0.5]);
});

test("smoothed() is the mean of neighbours, and leaves a straight line straight where it begins", () => {
  expect(smoothed([0, 3, 6, 0, 6], 1)).toEqual([0, 3, 3, 4, 3]);
  expect(smoothed([5, 4, 3, 2], 9).slice(0, 2)).toEqual([5, 4]);
  expect(smoothed([1, 2], 0)).toEqual([1, 2]);
});

const chart: Chart = {
  id: "loss",
  title: "Training loss",
  description: "It falls.",
  colour: "train",
  series: [
    {
      name: "each step",
      shape: "faint",
      points: [
        { x: 1, y: 4 },
        { x: 10, y: 2 },
      ],
    },
    {
      name: "smoothed",
      shape: "line",
      points: [
        { x: 1, y: 3 },
        { x: 10, y: 2 },
      ],
    },
  ],
  xMax: 10,
  yRange: [2, 4],
  marks: [5],
  readout: (i) => `point ${i}`,
  xText: String,
  yText: String,
};

test("a chart has a title and a description for whoever cannot see it", () => {
  const { text } = chartHtml(chart);
  expect(text).toContain('role="img" aria-labelledby="loss-title loss-desc"');
  expect(text).toContain('<title id="loss-title">Training loss</title>');
  expect(text).toContain('<desc id="loss-desc">It falls.</desc>');
});

test("a chart draws its points from the left and the top", () => {
  const { text } = chartHtml(chart);
  expect(text).toContain('<path class="faint" d="M100 0L1000 1000" />');
  expect(text).toContain('<path class="line" d="M100 500L1000 1000" />');
  expect(text).toContain('<path class="mark" d="M500 0V1000" />');
  expect(text).toContain('data-points="[[100,0,&#34;point 0&#34;],[1000,1000,&#34;point 1&#34;]]"');
});
