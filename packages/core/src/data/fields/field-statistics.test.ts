import { expect, it } from "vitest";
import { fieldStatistics } from "./field-statistics.ts";

it("fieldStatistics() counts distinct keys and NaN, and spans the numbers that are left", () => {
  const statistics = fieldStatistics({
    samples: 4,
    // A view into a longer buffer; keys that agree in one word only.
    keys: new Map([["route", Uint32Array.of(9, 9, 1, 0, 1, 0, 1, 7, 2, 0).subarray(2)]]),
    numbers: new Map([
      ["distance", Float32Array.of(1, Number.NaN, 4, -2)],
      ["broken", new Float32Array(4).fill(Number.NaN)],
    ]),
    keyLists: new Map([["tags", { offsets: Uint32Array.of(0, 1, 1, 3, 3), keys: Uint32Array.of(5, 0, 6, 0, 5, 0) }]]),
    numberLists: new Map([["scores", { offsets: Uint32Array.of(0, 0, 0, 1, 2), values: Float32Array.of(0.5, 1) }]]),
    weight: undefined,
    group: undefined,
    label: Float32Array.of(0, 1, 1, 0),
  });
  expect(statistics).toEqual([
    { field: "route", as: "keys", distinctKeys: 3 },
    { field: "tags", as: "keys", distinctKeys: 2 },
    { field: "distance", as: "numbers", min: -2, max: 4, mean: 1, nans: 1 },
    { field: "broken", as: "numbers", min: Number.NaN, max: Number.NaN, mean: Number.NaN, nans: 4 },
    { field: "scores", as: "numbers", min: 0.5, max: 1, mean: 0.75, nans: 0 },
    { field: "label", as: "numbers", min: 0, max: 1, mean: 0.5, nans: 0 },
  ]);
});
