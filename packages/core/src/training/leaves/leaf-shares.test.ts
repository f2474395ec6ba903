import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../limits.ts";
import { LeafPace } from "./leaf-pace.ts";
import { LeafShares } from "./leaf-shares.ts";

const STEP_MS = 100;

/** A volunteer whose share has become as large as `samples`, and that answers at once. */
function leafOf(samples: number): { pace: LeafPace } {
  const pace = new LeafPace({ samples, computeMs: STEP_MS / 2 }, { stepMs: STEP_MS });
  return { pace };
}

describe("LeafShares", () => {
  test("gives no more than seven eighths away, nobody more than its share, and parts are powers of two", () => {
    const wanted = fc.array(fc.integer({ min: 16, max: 20_000 }), { maxLength: 40 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000 }), wanted, (samples, wanted) => {
        const leaves = wanted.map(leafOf);
        const shares = new LeafShares({ rowFloats: 8 }).plan(samples, leaves);
        const given = shares.reduce((sum, share) => sum + share.samples, 0);
        expect(given).toBeLessThanOrEqual((samples * 7) / 8);
        expect(new Set(shares.map(({ leaf }) => leaf)).size).toBe(shares.length);
        for (const { leaf, samples: share } of shares) {
          expect(share).toBeLessThanOrEqual(leaf.pace.samples);
          expect(Math.log2(share) % 1).toBe(0);
        }
      }),
    );
  });

  test("where there is not enough for all, nobody is left out while there is the least part for each", () => {
    const leaves = [512, 512, 512, 512, 16, 512, 512].map(leafOf);
    const shares = new LeafShares({ rowFloats: 8 }).plan(512, leaves);
    expect(shares.map(({ samples }) => samples).toSorted((a, b) => a - b)).toEqual([16, 64, 64, 64, 64, 64, 64]);
  });

  test("gives no more than a frame has room for", () => {
    const [share] = new LeafShares({ rowFloats: 65_536 }).plan(4096, [leafOf(4096)]);
    expect(share!.samples).toBe(64);
  });

  test("who holds steps up is waited for as patience allows, and patience comes back with time", () => {
    const shares = new LeafShares({ rowFloats: 8 });
    shares.noteOwn(1000, STEP_MS);
    const slow = leafOf(16);
    for (let i = 0; i < 2; i++) slow.pace.note({ samples: 16, ms: 600, waitedMs: 500, stepMs: STEP_MS });
    slow.pace.spend(LIMITS.leafPatienceMs);
    let waited = 0;
    const steps = 400;
    for (let i = 0; i < steps; i++) {
      if (shares.plan(1000, [slow]).length === 0) continue;
      slow.pace.spend(500);
      waited += 500;
    }
    expect(waited).toBeGreaterThan(0.8 * LIMITS.leafSlowdownMax * steps * STEP_MS);
    expect(waited).toBeLessThanOrEqual(LIMITS.leafSlowdownMax * steps * STEP_MS);
  });
});
