import { describe, expect, it } from "vitest";
import { hash, negatives } from "../builders/field-builders.ts";
import { file } from "../builders/file-builders.ts";
import { where } from "../builders/label-builders.ts";
import { openDataset } from "../open-dataset.ts";
import { parquet } from "../builders/source-builders.ts";
import { tableWith } from "./test-flights.ts";

describe("negatives()", () => {
  const drawer = (seed: number, split: "train" | "test" = "train", vocabulary = 100) => {
    const drawing = parquet(file("f"), {
      fields: { others: negatives({ count: 3, vocabulary }), more: negatives({ count: 3, vocabulary }) },
      label: "delay",
      test: where("origin", "SEA"),
    });
    const opened = openDataset({
      spec: drawing,
      table: tableWith(),
      demands: [
        { name: "others", as: "keyLists" },
        { name: "more", as: "keyLists" },
      ],
      seed,
    });
    return (epoch: number, samples: number[]) =>
      ["others", "more"].map((field) => {
        const { offsets, keys } = opened.read(split, Uint32Array.from(samples), epoch).keyLists.get(field)!;
        expect([...offsets]).toEqual([0, ...samples.map((_, b) => 3 * (b + 1))]);
        return [...new BigUint64Array(keys.buffer)];
      });
  };

  it("are a function of seed, split, epoch, field and sample alone", () => {
    const [first, second] = drawer(1)(0, [0, 2, 1]) as [bigint[], bigint[]];
    expect(drawer(1)(0, [2])[0]).toEqual(first.slice(3, 6));
    const others = [drawer(2)(0, [0, 2, 1]), drawer(1)(1, [0, 2, 1]), drawer(1, "test")(0, [0, 1])].map(
      ([keys]) => keys!,
    );
    for (const keys of [...others, second]) expect(keys.slice(0, 6)).not.toEqual(first.slice(0, 6));
  });

  it("are uniform over the vocabulary, however large", () => {
    const counts = new Map<bigint, number>();
    const draw = drawer(3, "train", 10);
    for (let epoch = 0; epoch < 1000; epoch++)
      for (const key of draw(epoch, [0, 1, 2])[0]!) counts.set(key, (counts.get(key) ?? 0) + 1);
    expect([...counts.keys()].toSorted((a, b) => Number(a - b))).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]);
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 900) ** 2 / 900, 0);
    expect(chiSquared).toBeLessThan(27.9); // 9 degrees of freedom, p = 0.001
    const wide = drawer(3, "train", 2 ** 53 - 1)(0, [0, 1, 2])[0]!;
    expect(wide.every((key) => key < 2n ** 53n)).toBe(true);
    expect(wide.some((key) => key > 2n ** 50n)).toBe(true);
  });

  it("stand alone, as lists of keys", () => {
    const table = tableWith();
    const of = (field: ReturnType<typeof hash>, as: "keys" | "keyLists"): void => {
      openDataset({ spec: parquet(file("f"), { fields: { n: field } }), table, demands: [{ name: "n", as }] });
    };
    expect(() => of(negatives({ count: 3, vocabulary: 9 }), "keys")).toThrow(
      new TypeError(
        'field "n": negatives() gives a list of 3 keys, and one key a sample is wanted here: write input({ shape: [3] }) and give it an embedding',
      ),
    );
    expect(() => of(hash(negatives({ count: 3, vocabulary: 9 })), "keyLists")).toThrow(
      new TypeError('field "n": negatives() stands alone; it cannot be part of another field'),
    );
  });
});
