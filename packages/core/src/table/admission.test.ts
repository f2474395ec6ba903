import { describe, expect, test } from "vitest";
import { keysOf, pairsOf } from "../partition/test-segment.ts";
import { CountedAdmission, FollowedAdmission, type Admission } from "./admission.ts";
import type { AdmissionSpec } from "./table-spec.ts";

const BIG = 2n ** 63n + 5n;

function spec(updates: number, counter: AdmissionSpec["counter"] = { kind: "exact", keysMax: 100 }): AdmissionSpec {
  return { kind: "count", updates, counter };
}

/** Those of `keys` that are admitted when they are pushed and have no row. */
function push(admission: Admission, keys: (bigint | number)[]): bigint[] {
  const pairs = pairsOf([0, ...keys]); // in the middle of an array
  const absent = Uint32Array.from(keys, (_, i) => i + 1);
  const refused = admission.refuse(pairs, absent, keys.length);
  const admitted = keysOf(pairs).filter((_, pair) => pair > 0 && !absent.subarray(0, refused).includes(pair));
  expect(keysOf(admission.takeAdmitted())).toEqual(admitted);
  expect(absent.subarray(0, refused)).toEqual(absent.slice(0, refused).toSorted());
  return admitted;
}

const COUNTERS: AdmissionSpec["counter"][] = [
  { kind: "exact", keysMax: 100 },
  { kind: "bloom", keys: 100, falsePositives: 1e-6 },
];

describe.each(COUNTERS)("counted by %j", (counter) => {
  test("a key is admitted with the push that reaches the number, and those before are dropped", () => {
    const admission = new CountedAdmission(spec(3, counter), { partitions: 1 });
    expect(push(admission, [1, 2, BIG])).toEqual([]);
    expect(push(admission, [2, BIG])).toEqual([]);
    expect(push(admission, [1, 2, 7, BIG])).toEqual([2n, BIG]);
    expect(push(admission, [1, 7])).toEqual([1n]);
    expect([1, 2].map((n) => admission.admissible(pairsOf([7, 8]), Uint32Array.of(0, 1), n))).toEqual([1, 1]);
  });
});

test("a key whose row went away is counted from the beginning by an exact counter, and from where it was by a filter", () => {
  const [exact, bloom] = COUNTERS.map((counter) => new CountedAdmission(spec(2, counter), { partitions: 1 }));
  for (const admission of [exact!, bloom!]) {
    expect(push(admission, [4])).toEqual([]);
    expect(push(admission, [4])).toEqual([4n]);
  }
  expect([push(exact!, [4]), push(bloom!, [4])]).toEqual([[], [4n]]);
});

test("each partition has its equal share of a counter, rounded up", () => {
  const admission = new CountedAdmission(spec(2, { kind: "exact", keysMax: 9 }), { partitions: 8 }); // 2 keys
  push(admission, [1, 2, 3]); // 3 makes 1 and 2 forgotten
  expect(push(admission, [1, 3])).toEqual([3n]);
});

describe("a replica", () => {
  test("that was not pushed a key that the head admitted stops", () => {
    const replica = new FollowedAdmission();
    replica.expect(Uint32Array.from(pairsOf([1, 5])));
    replica.refuse(pairsOf([1, 2]), Uint32Array.of(0, 1), 2);
    expect(() => replica.takeAdmitted()).toThrow("invariant broken: the keys that a head admitted");
  });

  test("that is told of none admits none", () => {
    expect(push(new FollowedAdmission(), [1, 2])).toEqual([]);
  });

  test("admits what it was told, whatever it has counted", () => {
    const replica = new FollowedAdmission();
    replica.expect(Uint32Array.from(pairsOf([1, BIG])));
    expect(push(replica, [0, 1, 3, 2n ** 32n, BIG])).toEqual([1n, BIG]);
    expect(push(replica, [0, 1])).toEqual([]);
  });
});
