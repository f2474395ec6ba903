import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stepPlan, type SlotOfStep, type StepPlan } from "./plan.ts";

const planOf = (o: { trainRows: number; batchSize: number; epochs?: number; stepsMax?: number }): StepPlan => {
  const { trainRows, batchSize, epochs = 1, stepsMax } = o;
  const fit = { epochs, batchSize, ...(stepsMax === undefined ? {} : { stepsMax }) };
  return stepPlan({ manifest: { fit } as Parameters<typeof stepPlan>[0]["manifest"], trainRows });
};

/** The slices of a step, slot by slot. */
const slicesOf = (plan: StepPlan, { step, slots, shares }: Omit<SlotOfStep, "slot">) =>
  Array.from({ length: slots }, (_, slot) => plan.sliceOf({ step, slot, slots, shares }));

const lengths = (slices: readonly { from: number; to: number }[]) => slices.map(({ from, to }) => to - from);

describe("stepPlan()", () => {
  it("counts steps over all epochs, the last step of each being what is left", () => {
    const plan = planOf({ trainRows: 25, batchSize: 10, epochs: 2 });
    expect(plan).toMatchObject({ stepsPerEpoch: 3, steps: 6 });
    expect([1, 3, 4, 6].map((step) => plan.epochOf(step))).toEqual([0, 0, 1, 1]);
    expect(plan.samplesOf(3)).toEqual({ from: 20, to: 25 });
    expect(plan.samplesOf(4)).toEqual({ from: 0, to: 10 });
    expect(planOf({ trainRows: 25, batchSize: 10, epochs: 2, stepsMax: 4 }).steps).toBe(4);
  });

  it("cuts a step into equal slices, of which the first are longer", () => {
    const plan = planOf({ trainRows: 25, batchSize: 10 });
    expect(lengths(slicesOf(plan, { step: 1, slots: 3 }))).toEqual([4, 3, 3]);
    expect(lengths(slicesOf(plan, { step: 3, slots: 7 }))).toEqual([1, 1, 1, 0, 1, 1, 0]);
  });

  it("cuts a step as its shares say", () => {
    const plan = planOf({ trainRows: 100, batchSize: 100 });
    expect(lengths(slicesOf(plan, { step: 1, slots: 3, shares: [1, 2, 1] }))).toEqual([25, 50, 25]);
    expect(lengths(slicesOf(plan, { step: 1, slots: 2, shares: [512, 8] }))).toEqual([99, 1]);
  });

  it("takes one share for each slot, no more and no less", () => {
    const plan = planOf({ trainRows: 100, batchSize: 100 });
    expect(() => plan.sliceOf({ step: 1, slot: 0, slots: 3, shares: [1, 2] })).toThrow("2 shares for 3 slots");
  });

  const sizes = fc.record({
    trainRows: fc.integer({ min: 1, max: 5000 }),
    batchSize: fc.integer({ min: 1, max: 700 }),
  });

  it("has every sample of a step in exactly one slot, whatever the shares", () => {
    const share = fc.oneof(fc.integer({ min: 8, max: 512 }), fc.double({ min: 1e-6, max: 1e6, noNaN: true }));
    fc.assert(
      fc.property(sizes, fc.array(share, { minLength: 1, maxLength: 40 }), fc.nat(), (size, shares, seed) => {
        const plan = planOf(size);
        const step = 1 + (seed % plan.steps);
        const { from, to } = plan.samplesOf(step);
        let at = from;
        for (const slice of slicesOf(plan, { step, slots: shares.length, shares })) {
          expect(slice.from).toBe(at);
          expect(slice.to).toBeGreaterThanOrEqual(slice.from);
          at = slice.to;
        }
        expect(at).toBe(to);
      }),
    );
  });

  it("cuts no slice further than one sample from its share", () => {
    const share = fc.integer({ min: 8, max: 512 });
    fc.assert(
      fc.property(sizes, fc.array(share, { minLength: 1, maxLength: 40 }), (size, shares) => {
        const plan = planOf(size);
        const { from, to } = plan.samplesOf(1);
        const sum = shares.reduce((a, b) => a + b);
        for (const [slot, length] of lengths(slicesOf(plan, { step: 1, slots: shares.length, shares })).entries()) {
          expect(Math.abs(length - ((to - from) * shares[slot]!) / sum)).toBeLessThan(1);
        }
      }),
    );
  });

  it("cuts equal shares as it does without any", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 512 }), (size, slots, share) => {
        const plan = planOf(size);
        const shares = Array.from({ length: slots }, () => share);
        expect(slicesOf(plan, { step: plan.steps, slots, shares })).toEqual(
          slicesOf(plan, { step: plan.steps, slots }),
        );
      }),
    );
  });
});
