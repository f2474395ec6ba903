/** How often something may be done. */
import { describe, expect, it } from "vitest";
import { TokenBucket, TokenBuckets } from "./token-buckets.ts";

describe("TokenBucket", () => {
  it("gives its burst at once, then its rate", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, 1_000);
    expect([1, 1, 1, 1].map((permits) => bucket.take(permits, 1_000))).toEqual([true, true, true, false]);
    expect(bucket.take(1, 1_099)).toBe(false);
    expect(bucket.take(1, 1_100)).toBe(true);
    expect(bucket.take(1, 1_100)).toBe(false);
  });

  it("holds no more than its burst, and takes nothing for what it refuses", () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 3 }, 0);
    expect(bucket.take(4, 1_000_000)).toBe(false);
    expect(bucket.take(3, 1_000_000)).toBe(true);
  });
});

describe("TokenBuckets", () => {
  it("has a bucket for each key, and forgets the one that tried longest ago", () => {
    const buckets = new TokenBuckets({ perSecond: 0, burst: 1 }, { keysMax: 2 });
    expect([buckets.take("a", 0), buckets.take("b", 0), buckets.take("a", 0)]).toEqual([true, true, false]);
    expect(buckets.take("c", 0)).toBe(true); // in the place of b
    expect(buckets.size).toBe(2);
    expect([buckets.take("a", 0), buckets.take("b", 0)]).toEqual([false, true]);
  });
});
