import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadServerUpdate, optimizerOf, serverUpdate, type OptimizerSpec, type ServerUpdate } from "./index.ts";

const specOf = (update: string, options: Record<string, number> = {}) =>
  ({ kind: "custom", update, sha256: "0".repeat(64), options }) satisfies OptimizerSpec;

function opened(update: ServerUpdate, options: Record<string, number> = {}) {
  const spec = specOf(update.name, options);
  loadServerUpdate(spec, update);
  return optimizerOf(spec);
}

const clippedSgd = serverUpdate({
  name: "clippedSgd",
  options: { learningRate: 0.5, limit: 1 },
  update({ weights, gradient, options: { learningRate, limit } }) {
    for (let i = 0; i < weights.length; i++)
      weights[i]! -= learningRate * Math.max(-limit, Math.min(limit, gradient[i]!));
  },
});

describe("serverUpdate() refuses", () => {
  test.each([
    [{ name: "", update: () => {} }, 'serverUpdate(): name is ""'],
    [{ name: "x", update: undefined }, 'serverUpdate("x"): update is no function'],
    [{ name: "x", options: { rate: NaN }, update: () => {} }, 'server update "x": option rate is NaN'],
  ])("%j", (args, message) => {
    expect(() => serverUpdate(args as never)).toThrow(message);
  });
});

describe("a spec of a server update", () => {
  test("cannot be opened where nothing was loaded for it", () => {
    expect(() => optimizerOf(specOf("clippedSgd"))).toThrow(/server update "clippedSgd" is not loaded here/);
  });

  test("is refused with an option that the update does not have", () => {
    expect(() => opened(clippedSgd, { rate: 1 })).toThrow(
      'server update "clippedSgd" has no option "rate"; its options are learningRate, limit',
    );
  });
});

test("an update that fails says so and changes nothing", () => {
  const update = serverUpdate({
    name: "broken",
    update: ({ weights }) => {
      weights[0] = 9;
      throw new Error("no");
    },
  });
  const rows = Float32Array.of(1, 2);
  expect(() => opened(update).update(rows, 0, 1, Float32Array.of(1), 0, 1, 1)).toThrow(
    'server update "broken" failed: no',
  );
  expect([...rows]).toEqual([1, 2]);
});

test("an update that writes beyond its row reaches no other row", () => {
  const update = serverUpdate({
    name: "wild",
    stateWidth: () => 1,
    update: (row) => (row.weights.fill(7), (row.weights[5] = 9), row.state.fill(8)),
  });
  const rows = new Float32Array(6).fill(1);
  opened(update).update(rows, 2, 1, Float32Array.of(1), 0, 1, 1);
  expect([...rows]).toEqual([1, 1, 7, 8, 1, 1]);
});

test("options of the spec stand over the update's own, and clip as they say", () => {
  const rows = Float32Array.of(0, 0);
  opened(clippedSgd, { limit: 2 }).update(rows, 0, 2, Float32Array.of(100, -1), 0, 1, 1);
  expect([...rows]).toEqual([-1, 0.5]);
});

test("a row's state begins as initState writes it, is kept, and counts its updates", () => {
  const heavyBall = serverUpdate({
    name: "heavyBall",
    stateWidth: (dim) => dim + 1,
    initState: ({ state, weights }) => (state[0] = weights[0]! * 10),
    update({ weights, state, gradient, updates }) {
      state[0] = state[0]! + gradient[0]!;
      state[1] = updates;
      weights[0] = weights[0]! - state[0];
    },
  });
  const optimizer = opened(heavyBall);
  const rows = Float32Array.of(1, 0, 0);
  expect(optimizer.stateWidth(1)).toBe(2);
  optimizer.initState(rows, 0, 1);
  expect([...rows]).toEqual([1, 10, 0]);
  optimizer.update(rows, 0, 1, Float32Array.of(5), 0, 1, 1);
  optimizer.update(rows, 0, 1, Float32Array.of(-15), 0, 2, 1);
  expect([...rows]).toEqual([1 - 15, 0, 2]);
});

describe("updates by plain name", () => {
  const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }), {
    minLength: 1,
    maxLength: 20,
  });
  const after = (kind: "sum" | "count" | "max" | "set", pushes: readonly number[]): number => {
    const rows = Float32Array.of(77, 0, 77);
    const optimizer = optimizerOf({ kind });
    pushes.forEach((value, i) => optimizer.update(rows, 1, 1, Float32Array.of(value), 0, i + 1, 1));
    expect([rows[0], rows[2]]).toEqual([77, 77]);
    return rows[1]!;
  };

  test("sum adds in float32, max keeps the largest, set the last", () => {
    fc.assert(
      fc.property(values, (pushes) => {
        expect(after("sum", pushes)).toBe(pushes.reduce((sum, value) => Math.fround(sum + value), 0));
        expect(after("max", pushes)).toBe(Math.max(0, ...pushes));
        expect(after("set", pushes)).toBe(pushes.at(-1));
      }),
    );
  });

  test("count adds the occurrences it is sent", () => {
    expect(after("count", [2, 1, 1])).toBe(4);
  });
});
