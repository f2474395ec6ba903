import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gaussians } from "../../collective/test-ranks.ts";
import type { StepGradients } from "../job/gradient-model.ts";
import type { ValueDtype } from "../../compression/index.ts";
import { AuditDraw, differs } from "./audit.ts";
import { DistinctRows } from "./distinct-rows.ts";

const SEED = [1, 2, 3, 4];

const update = (seed: number): StepGradients => ({
  rowGrads: gaussians(60, seed),
  denseGrads: gaussians(40, seed + 1),
  lossSum: 12.5,
});

/** Of rows of 4 floats, all of them others, unless said otherwise. */
const of = (form: ValueDtype, ids = Uint32Array.from({ length: 15 }, (_, i) => i)) => ({
  forms: { gradients: form, dense: "float32" } as const,
  distinct: new DistinctRows({ ids, uses: [{ places: 1, width: 4 }] }),
});

const scaled = (values: Float32Array, factor: number): Float32Array => values.map((value) => value * factor);

describe("AuditDraw", () => {
  const drawn = (draw: AuditDraw, volunteer: number): number[] =>
    Array.from({ length: 20_000 }, (_, task) => task).filter((task) => draw.picks({ volunteer, task }));

  test.each([-0.1, 1.1, NaN])("rejects a share of %f", (share) => {
    expect(() => new AuditDraw({ seed: SEED, share })).toThrow(RangeError);
  });

  test("draws about its share of every volunteer's tasks, the same again, and others of others", () => {
    const draw = new AuditDraw({ seed: SEED, share: 0.05 });
    const tasks = drawn(draw, 1);
    expect(tasks.length).toBeGreaterThan(800);
    expect(tasks.length).toBeLessThan(1200);
    expect(drawn(new AuditDraw({ seed: SEED, share: 0.05 }), 1)).toEqual(tasks);
    for (const other of [drawn(draw, 2), drawn(new AuditDraw({ seed: [9, 2, 3, 4], share: 0.05 }), 1)]) {
      expect(other.length).toBeGreaterThan(800);
      expect(other.filter((task) => tasks.includes(task)).length).toBeLessThan(150);
    }
  });

  test("draws nothing at 0 and everything at 1", () => {
    expect(drawn(new AuditDraw({ seed: SEED, share: 0 }), 7)).toHaveLength(0);
    expect(drawn(new AuditDraw({ seed: SEED, share: 1 }), 7)).toHaveLength(20_000);
  });
});

describe("differs()", () => {
  test("believes an update as it is, and its last bits, in any form", () => {
    fc.assert(
      fc.property(fc.nat(9999), fc.constantFrom("float32", "bfloat16", "int8"), (seed, form) => {
        const honest = update(seed);
        const noisy = {
          rowGrads: honest.rowGrads.map((value, i) => value * (1 + (i % 2 === 0 ? 1e-3 : -1e-3))),
          denseGrads: honest.denseGrads.map((value, i) => value * (1 + (i % 3 === 0 ? 1e-3 : -1e-3))),
          lossSum: honest.lossSum * 1.001,
        };
        expect(differs(honest, honest, of(form))).toBeUndefined();
        expect(differs(noisy, honest, of(form))).toBeUndefined();
      }),
      { numRuns: 30 },
    );
  });

  test.each(["float32", "bfloat16", "int8"] as const)(
    "finds signs that are flipped, and what is made up, in %s",
    (form) => {
      const honest = update(1);
      const lies: Partial<StepGradients>[] = [
        { rowGrads: scaled(honest.rowGrads, -1) },
        { denseGrads: scaled(honest.denseGrads, 10) },
        { denseGrads: new Float32Array(40) },
        { rowGrads: gaussians(60, 77) },
        { lossSum: 12 },
        { denseGrads: honest.denseGrads.with(0, NaN) },
      ];
      for (const lie of lies) expect(differs({ ...honest, ...lie }, honest, of(form))?.code).toBe("UPDATE_DIFFERS");
    },
  );

  test("bfloat16 may lose more of rows than float32, and says by how much it is too much", () => {
    const honest = update(1);
    const rough = { ...honest, rowGrads: scaled(honest.rowGrads, 1.008) };
    expect(differs(rough, honest, of("bfloat16"))).toBeUndefined();
    expect(differs(rough, honest, of("float32"))?.message).toMatch(
      /^the row gradients of the update differ .* distance is 0\.0\d+, 0\.005 of their length \d\.\d+ would be taken$/,
    );
  });

  test("of samples that have a row in common only the sum is compared, with as much room as the gradients had", () => {
    const honest = update(1);
    const same = of(
      "float32",
      new Uint32Array(15).map((_, i) => i % 3),
    );
    const shared = (rowGrads: Float32Array) => ({
      ...honest,
      rowGrads: same.distinct.shares(same.distinct.sums(rowGrads)),
    });
    expect(differs(shared(honest.rowGrads), honest, same)).toBeUndefined();
    expect(differs(shared(honest.rowGrads), honest, of("float32"))?.code).toBe("UPDATE_DIFFERS");
    expect(differs(shared(scaled(honest.rowGrads, -1)), honest, same)?.code).toBe("UPDATE_DIFFERS");
    const cancelling = { ...honest, rowGrads: honest.rowGrads.map((_, i) => (i < 36 ? 1 : -1) * (i < 60 ? 1 : 0)) };
    const noisy = cancelling.rowGrads.map((value, i) => value * (1 + (i % 2) * 1e-3));
    expect(differs(shared(noisy), cancelling, same)).toBeUndefined();
  });

  test("gradients that are 0, or nearly, are believed where a device takes them for 0", () => {
    const zero = { rowGrads: new Float32Array(4), denseGrads: new Float32Array(2), lossSum: 0 };
    const tiny = { ...zero, rowGrads: Float32Array.of(1e-40, -1e-40, 0, 1e-41) };
    const one = of("float32", Uint32Array.of(0));
    expect(differs(zero, tiny, one)).toBeUndefined();
    expect(differs(zero, zero, one)).toBeUndefined();
    const more = { ...zero, denseGrads: Float32Array.of(0, 1e-3) };
    expect(differs(more, zero, one)).toEqual({
      code: "UPDATE_DIFFERS",
      message: expect.stringContaining("the dense gradients of the update differ") as string,
    });
  });
});
