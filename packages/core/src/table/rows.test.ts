import { describe, expect, test } from "vitest";
import { adagrad, adam, learningRateAt, optimizerOf, sgd, type OptimizerSpec } from "../optimizer/index.ts";
import { initializerOf } from "./initializer.ts";
import { ArrayRows } from "./test-rows.ts";
import type { TableSpec } from "./table-spec.ts";
import { keysOf, pairsOf } from "../partition/test-segment.ts";

const DIM = 3;
const SEED = 11;

function table(optimizer: OptimizerSpec, dim = DIM): TableSpec {
  return { id: 4, name: "route", dim, initializer: { kind: "uniform", min: -1, max: 1 }, optimizer };
}

function read(rows: ArrayRows, keys: readonly number[]): number[] {
  const out = new Float32Array(keys.length * rows.dim);
  rows.readArrays(pairsOf(keys), 0, keys.length, out, 0);
  return [...out];
}

function initial(spec: TableSpec, key: number): number[] {
  const out = new Float32Array(spec.dim);
  initializerOf(spec.initializer, { seed: SEED, table: spec.id })(key, 0, out, 0, spec.dim);
  return [...out];
}

function push(rows: ArrayRows, keys: readonly number[], gradient: number, step = 1): void {
  const grads = new Float32Array(keys.length * rows.dim).fill(gradient);
  rows.updateArrays(pairsOf(keys), 0, keys.length, grads, 0, step);
}

describe("a read", () => {
  test("of an unknown key gives its initial value and creates nothing", () => {
    const spec = table(adam());
    const rows = new ArrayRows(spec, SEED);
    expect(read(rows, [7])).toEqual(initial(spec, 7));
    expect([rows.count, rows.bytes()]).toEqual([0, 0]);
  });

  test("leaves count and age of a row alone", () => {
    const rows = new ArrayRows(table(sgd()), SEED);
    push(rows, [7], 1, 5);
    read(rows, [7]);
    const { updates, lastSteps } = rows.export(0, 1);
    expect([[...updates], [...lastSteps]]).toEqual([[1], [5]]);
  });

  test("takes a run in the middle of the keys and writes nothing beside it", () => {
    const spec = table(sgd());
    const rows = new ArrayRows(spec, SEED);
    const out = new Float32Array(2 * DIM + 2).fill(77);
    rows.readArrays(pairsOf([1, 2, 3, 4]), 1, 3, out, 1);
    expect([...out]).toEqual([77, ...initial(spec, 2), ...initial(spec, 3), 77]);
  });
});

describe("an update", () => {
  test("creates the row at its initial value first", () => {
    const spec = table(sgd({ learningRate: 0.5 }));
    const rows = new ArrayRows(spec, SEED);
    push(rows, [7], 1);
    expect(read(rows, [7])).toEqual(initial(spec, 7).map((w) => Math.fround(w - 0.5)));
    expect(rows.count).toBe(1);
  });

  test("counts per row, so Adam is corrected for each row's own bias", () => {
    const spec = table(adam());
    const rows = new ArrayRows(spec, SEED);
    push(rows, [1], 1, 1);
    push(rows, [1], 1, 2);
    push(rows, [1, 2], 1, 3);
    const alone = new ArrayRows(spec, SEED);
    push(alone, [2], 1, 3);
    expect(read(rows, [2])).toEqual(read(alone, [2]));
    expect([...rows.export(0, 9).updates]).toEqual([3, 1]);
    expect([...rows.export(0, 9).lastSteps]).toEqual([3, 3]);
  });

  test("of thousands of rows keeps each as if it were alone", () => {
    const spec = table(adagrad());
    const optimizer = optimizerOf(spec.optimizer);
    const rows = new ArrayRows(spec, SEED);
    const keys = Array.from({ length: 3000 }, (_, i) => (i * 7919) % 100_003).sort((a, b) => a - b);
    for (let step = 1; step <= 3; step++) push(rows, keys, 0.1 * step, step);
    for (const key of keys.filter((_, i) => i % 97 === 0)) {
      const row = new Float32Array(2 * DIM);
      row.set(initial(spec, key));
      optimizer.initState(row, 0, DIM);
      for (let step = 1; step <= 3; step++)
        optimizer.update(
          row,
          0,
          DIM,
          new Float32Array(DIM).fill(0.1 * step),
          0,
          step,
          learningRateAt(spec.optimizer, step),
        );
      expect(read(rows, [key])).toEqual([...row.subarray(0, DIM)]);
    }
  });
});

describe("a set", () => {
  test("makes a row as if new with these weights", () => {
    const spec = table(adagrad());
    const rows = new ArrayRows(spec, SEED);
    push(rows, [7], 3, 1);
    rows.setArrays(pairsOf([7]), 0, 1, Float32Array.of(1, 2, 3), 0, 9);
    expect(read(rows, [7])).toEqual([1, 2, 3]);
    const { states, updates, lastSteps } = rows.export(0, 1);
    expect([...states]).toEqual([0.1, 0.1, 0.1].map(Math.fround));
    expect([[...updates], [...lastSteps]]).toEqual([[0], [9]]);
  });

  test("creates a row that is not there", () => {
    const rows = new ArrayRows(table(sgd()), SEED);
    rows.setArrays(pairsOf([7]), 0, 1, Float32Array.of(1, 2, 3), 0, 0);
    expect([rows.count, ...read(rows, [7])]).toEqual([1, 1, 2, 3]);
  });
});

describe("an export", () => {
  test("of an empty table is empty and at its end", () => {
    const { keys, weights, states, next } = new ArrayRows(table(adam()), SEED).export(0, 10);
    expect([keys.length, weights.length, states.length, next]).toEqual([0, 0, 0, undefined]);
  });

  test("in parts gives every row once, with weights and state", () => {
    const rows = new ArrayRows(table(adam()), SEED);
    push(rows, [1, 2, 3, 4, 5], 0.5);
    const whole = rows.export(0, 99);
    expect(keysOf(whole.keys)).toEqual([1n, 2n, 3n, 4n, 5n]);
    expect([...whole.weights]).toEqual(read(rows, [1, 2, 3, 4, 5]));
    expect(whole.states).toHaveLength(5 * 2 * DIM);
    const parts = [rows.export(0, 2), rows.export(2, 2), rows.export(4, 2)];
    expect(parts.map(({ next }) => next)).toEqual([2, 4, undefined]);
    expect(parts.flatMap(({ keys }) => keysOf(keys))).toEqual(keysOf(whole.keys));
    expect(parts.flatMap(({ weights }) => [...weights])).toEqual([...whole.weights]);
    expect(parts.flatMap(({ states }) => [...states])).toEqual([...whole.states]);
  });

  test("is a copy: later updates do not change it", () => {
    const rows = new ArrayRows(table(sgd()), SEED);
    push(rows, [1], 1);
    const { weights } = rows.export(0, 1);
    const before = [...weights];
    push(rows, [1], 1);
    expect([...weights]).toEqual(before);
  });
});

test("a table of one small row takes less than 2 KB, 10,000 rows less than 32 bytes each beyond their floats", () => {
  const rows = new ArrayRows(table(adagrad(), 16), SEED);
  push(rows, [0], 1);
  expect(rows.bytes()).toBeLessThan(2048);
  push(
    rows,
    Array.from({ length: 16_384 }, (_, i) => i),
    1,
  ); // fills a power of two, so no float is spare
  expect(rows.bytes() / rows.count - 2 * 16 * 4).toBeLessThan(32);
});
