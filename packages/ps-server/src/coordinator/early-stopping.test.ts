import { describe, expect, test } from "vitest";
import { EarlyStopping } from "./early-stopping.ts";

const SPEC = { monitor: "auc", patience: 2, minDelta: 0.01, mode: "max" } as const;

/** The step after which it stops, given a value after each step from 1. */
function stopsAfter(
  spec: ConstructorParameters<typeof EarlyStopping>[0],
  values: readonly number[],
): number | undefined {
  const stopping = new EarlyStopping(spec);
  const step = values.findIndex((value, i) => stopping.take({ step: i + 1, value }) !== undefined);
  return step < 0 ? undefined : step + 1;
}

describe("EarlyStopping", () => {
  test("stops after `patience` values that are no better", () => {
    expect(stopsAfter(SPEC, [0.6, 0.7, 0.7, 0.69, 0.8])).toBe(4);
    expect(stopsAfter({ ...SPEC, patience: 3 }, [0.6, 0.7, 0.7, 0.69, 0.8])).toBeUndefined();
    expect(stopsAfter({ ...SPEC, patience: 0 }, [0.6, 0.7, 0.7])).toBe(3);
  });

  test("counts a gain of minDelta or less as none, measured from the best value, not the last", () => {
    expect(stopsAfter(SPEC, [0.5, 0.505, 0.5099])).toBe(3);
    expect(stopsAfter(SPEC, [0.5, 0.505, 0.511, 0.52, 0.5205])).toBe(5);
  });

  test("takes less for better in mode min", () => {
    expect(stopsAfter({ ...SPEC, mode: "min" }, [0.5, 0.4, 0.45, 0.41])).toBe(4);
    expect(stopsAfter({ ...SPEC, mode: "min" }, [0.5, 0.4, 0.3, 0.2])).toBeUndefined();
  });

  test("counts a step once, however often it is told", () => {
    const stopping = new EarlyStopping(SPEC);
    for (let i = 0; i < 5; i++) expect(stopping.take({ step: 1, value: 0.5 })).toBeUndefined();
    for (let i = 0; i < 5; i++) expect(stopping.take({ step: 2, value: 0.5 })).toBeUndefined();
    expect(stopping.take({ step: 3, value: 0.5 })).toBe(
      "stopped early after step 3: auc is 0.50000, no better than 0.50000 after step 1",
    );
  });
});
