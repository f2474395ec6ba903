import fc from "fast-check";
import { expect, test } from "vitest";
import { initializerOf } from "../table/initializer.ts";
import { RowMemory } from "./oracle/row-memory.ts";

const memory = new RowMemory(4);

test("drawUniform() gives the first values of the uniform initializer, and writes nothing behind them", () => {
  const u32 = fc.nat(0xffffffff);
  const bound = fc.double({ min: -1e6, max: 1e6, noNaN: true });
  fc.assert(
    fc.property(
      u32,
      u32,
      u32,
      u32,
      fc.integer({ min: 1, max: 130 }),
      bound,
      bound,
      (lo, hi, seed, table, dim, a, b) => {
        memory.clear();
        const [min, max] = a < b ? [a, b] : [b, a];
        const expected = new Float32Array(dim);
        initializerOf({ kind: "uniform", min, max }, { seed, table })(lo, hi, expected, 0, dim);
        const out = memory.take(4 * dim + 16);
        const garbage = memory.wordsAt(out + 4 * dim, 4).slice();
        const scale = (max - min) / 0x100000000;
        memory.kernels.drawUniform(memory.takeWords([lo, hi]), dim, seed, table, min, scale, out);
        expect(memory.floatsAt(out, dim)).toEqual(expected);
        expect(memory.wordsAt(out + 4 * dim, 4)).toEqual(garbage);
      },
    ),
    { numRuns: 1000 },
  );
});
