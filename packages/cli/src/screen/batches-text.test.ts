import { expect, test } from "vitest";
import { batchesTexts } from "./batches-text.ts";

const calm = { finished: 1, dropped: 0, repeated: 0, stalenessMax: 0, rounds: 0, cachedRows: 0, rows: 0 };

test("batchesTexts() leaves out what there is nothing of", () => {
  expect(batchesTexts({})).toEqual([]);
  expect(batchesTexts({ batches: calm })).toEqual(["1 batch"]);
  const all = { finished: 1234, dropped: 12, repeated: 3, stalenessMax: 4, rounds: 1, cachedRows: 614, rows: 1000 };
  expect(batchesTexts({ batches: all })).toEqual([
    "1,234 batches",
    "12 dropped",
    "3 repeated",
    "a worker up to 4 ahead",
    "1 round",
    "61 % of rows cached",
  ]);
});
