import { describe, expect, test } from "vitest";
import { gaussians } from "../../collective/test-ranks.ts";
import { Agreement, type AgreementPart } from "./agreement.ts";

const E = 24;
const N = 60;

interface Shape {
  /** Length of the mean gradient of a sample; its noise has 1 in every float. */
  signal: number;
  step: number;
  samples?: number;
}

/** Of the same truth for all; noise of another seed each. */
function honest(volunteer: number | undefined, { signal, step, samples = 16 }: Shape): AgreementPart {
  const seed = 100_000 + 1000 * step + 10 * (volunteer ?? 99);
  const truth = (n: number): Float32Array => {
    const direction = gaussians(n, n);
    const length = Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0));
    return direction.map((value) => (signal * value) / length);
  };
  const [rowTruth, denseTruth] = [truth(E), truth(N)];
  const rowGrads = gaussians(samples * E, seed).map((noise, i) => noise + rowTruth[i % E]!);
  const denseGrads = gaussians(N, seed + 1).map((noise, i) => Math.sqrt(samples) * noise + samples * denseTruth[i]!);
  return { volunteer, samples, gradients: { rowGrads, denseGrads } };
}

function times(part: AgreementPart, { rows = 1, dense = 1 }): AgreementPart {
  const { rowGrads, denseGrads } = part.gradients;
  const scaled = {
    rowGrads: rowGrads.map((value) => value * rows),
    denseGrads: denseGrads.map((value) => value * dense),
  };
  return { ...part, gradients: scaled };
}

/** In which steps whom, where each volunteer makes something of its honest part. */
function suspectedIn(
  steps: number,
  parts: (step: number, part: (volunteer: number | undefined) => AgreementPart) => AgreementPart[],
  signal = 1,
): { step: number; volunteers: number[] }[] {
  const agreement = new Agreement();
  return Array.from({ length: steps }, (_, step) => ({
    step,
    volunteers: [...agreement.suspects(parts(step, (volunteer) => honest(volunteer, { signal, step })))],
  })).filter(({ volunteers }) => volunteers.length > 0);
}

const ALL = [undefined, 1, 2, 3, 4, 5, 6, 7];

describe("Agreement", () => {
  test("suspects nobody of honest ones that have a signal in common, however long and unequal their parts", () => {
    const found = suspectedIn(300, (step, part) =>
      ALL.map((volunteer) =>
        volunteer === 3 ? honest(3, { signal: 1, step, samples: 64 }) : times(part(volunteer), { dense: 1 / 1024 }),
      ),
    );
    expect(found).toEqual([]);
  });

  test("suspects honest ones now and then where all is noise", () => {
    const found = suspectedIn(300, (_, part) => ALL.map(part), 0);
    const suspicions = found.reduce((sum, { volunteers }) => sum + volunteers.length, 0);
    expect(suspicions).toBeGreaterThan(0);
    expect(suspicions).toBeLessThan(0.05 * 300 * 7);
  });

  test.each([
    ["all signs are flipped", { rows: -1, dense: -1 }],
    ["ten times as long as well", { rows: -10, dense: -10 }],
    ["only row gradients are flipped", { rows: -1 }],
    ["only dense gradients are flipped", { dense: -1e-3 }],
  ])("finds two of seven whose gradients point the other way: %s", (_, lie) => {
    const found = suspectedIn(40, (__, part) =>
      ALL.map((volunteer) => (volunteer === 2 || volunteer === 5 ? times(part(volunteer), lie) : part(volunteer))),
    );
    expect(new Set(found.flatMap(({ volunteers }) => volunteers))).toEqual(new Set([2, 5]));
  });

  test("finds a volunteer that was honest for long, soon after it begins to lie", () => {
    const found = suspectedIn(200, (step, part) =>
      ALL.map((volunteer) => times(part(volunteer), volunteer === 4 && step >= 100 ? { rows: -1, dense: -1 } : {})),
    );
    expect(found[0]!.volunteers).toEqual([4]);
    expect(found[0]!.step).toBeGreaterThanOrEqual(100);
    expect(found[0]!.step).toBeLessThan(160);
  });

  test("begins anew with whom it suspected, and with whom it is told to forget", () => {
    const flipped = (step: number): AgreementPart[] =>
      ALL.slice(0, 4).map((volunteer) =>
        times(honest(volunteer, { signal: 3, step }), volunteer === 1 ? { dense: -1 } : {}),
      );
    const agreement = new Agreement();
    const seen = Array.from({ length: 8 }, (_, step) => agreement.suspects(flipped(step)).has(1));
    expect(seen).toEqual([false, false, false, false, true, false, false, false]);
    agreement.forget(1);
    expect(agreement.suspects(flipped(9)).has(1)).toBe(false);
  });

  test("gradients of 0, of no samples, and of one part alone say nothing", () => {
    const zero = { rowGrads: new Float32Array(2 * E), denseGrads: new Float32Array(N) };
    const none = { rowGrads: new Float32Array(0), denseGrads: new Float32Array(N) };
    const agreement = new Agreement();
    for (let step = 0; step < 20; step++) {
      const parts = [
        { volunteer: 1, samples: 2, gradients: zero },
        { volunteer: 2, samples: 0, gradients: none },
        honest(3, { signal: 1, step }),
      ];
      expect(agreement.suspects(parts).size).toBe(0);
      expect(agreement.suspects([]).size).toBe(0);
    }
  });
});
