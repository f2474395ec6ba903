import { describe, expect, test } from "vitest";
import { ProtocolError } from "../errors.ts";
import { keysOf, pairsOf } from "../partition/test-segment.ts";
import { Admission } from "./admission.ts";
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
    const admission = new Admission(spec(3, counter), { partitions: 1 });
    expect(push(admission, [1, 2, BIG])).toEqual([]);
    expect(push(admission, [2, BIG])).toEqual([]);
    expect(push(admission, [1, 2, 7, BIG])).toEqual([2n, BIG]);
    expect(push(admission, [1, 7])).toEqual([1n]);
    expect([1, 2].map((n) => admission.admissible(pairsOf([7, 8]), Uint32Array.of(0, 1), n))).toEqual([1, 1]);
  });
});

test("a key whose row went away is counted from the beginning by an exact counter, and from where it was by a filter", () => {
  const [exact, bloom] = COUNTERS.map((counter) => new Admission(spec(2, counter), { partitions: 1 }));
  for (const admission of [exact!, bloom!]) {
    expect(push(admission, [4])).toEqual([]);
    expect(push(admission, [4])).toEqual([4n]);
  }
  expect([push(exact!, [4]), push(bloom!, [4])]).toEqual([[], [4n]]);
});

test("each partition has its equal share of a counter, rounded up", () => {
  const admission = new Admission(spec(2, { kind: "exact", keysMax: 9 }), { partitions: 8 }); // 2 keys
  push(admission, [1, 2, 3]); // 3 makes 1 and 2 forgotten
  expect(push(admission, [1, 3])).toEqual([3n]);
});

describe("a replica", () => {
  const replicaOf = (updates = 2) => new Admission(spec(updates), { partitions: 1 });

  test("that was not pushed a key that the head admitted stops", () => {
    const replica = replicaOf();
    replica.expect(Uint32Array.from(pairsOf([1, 5])));
    replica.refuse(pairsOf([1, 2]), Uint32Array.of(0, 1), 2);
    expect(() => replica.takeAdmitted()).toThrow("invariant broken: the keys that a head admitted");
  });

  test("that is told of none admits none", () => {
    const replica = replicaOf();
    for (let i = 0; i < 3; i++) {
      replica.expect();
      expect(push(replica, [1, 2])).toEqual([]);
    }
  });

  test("admits what it was told, and goes on from the counts of the head when it decides itself", () => {
    for (const counter of COUNTERS) {
      const [head, replica] = [0, 1].map(() => new Admission(spec(3, counter), { partitions: 1 }));
      for (const keys of [[0, 1, 3, BIG], [1, BIG], [0, 1, 2n ** 32n, BIG], [0]]) {
        const admitted = push(head!, keys);
        replica!.expect(Uint32Array.from(pairsOf(admitted)));
        expect(push(replica!, keys)).toEqual(admitted);
      }
      expect(replica!.snapshot()).toEqual(head!.snapshot());
      expect(push(replica!, [3, 2n ** 32n])).toEqual([]);
      expect(push(replica!, [3, 2n ** 32n])).toEqual([3n, 2n ** 32n]);
    }
  });

  test("takes the counts of its head in parts, and counts what was pushed meanwhile", () => {
    for (const counter of COUNTERS) {
      const [head, replica] = [0, 1].map(() => new Admission(spec(3, counter), { partitions: 1 }));
      const both = (...keys: (bigint | number)[]): void => {
        const admitted = push(head!, keys);
        replica!.expect(Uint32Array.from(pairsOf(admitted)));
        expect(push(replica!, keys)).toEqual(admitted);
      };
      push(head!, [1, 2, 3, 4]);
      replica!.awaitCounts();
      both(1, 2, 5);
      expect(replica!.admissible(pairsOf([7, 8]), Uint32Array.of(0, 1), 2)).toBe(2); // not known
      const words = head!.snapshot();
      replica!.takeCounts(words.subarray(0, 2), { at: 0, of: words.length });
      both(2, 3, 6);
      replica!.takeCounts(words.subarray(2), { at: 2, of: words.length });
      expect(replica!.snapshot()).toEqual(head!.snapshot());
      both(1, 3, 6);
      expect(replica!.admissible(pairsOf([6, 8]), Uint32Array.of(0, 1), 2)).toBe(1);
    }
  });

  test("refuses counts that are not the next, or none of its counter", () => {
    const [exact, bloom] = COUNTERS.map((counter) => new Admission(spec(2, counter), { partitions: 1 }));
    const words = new Uint32Array(3);
    expect(() => exact!.takeCounts(words, { at: 3, of: 6 })).toThrow(
      new ProtocolError("words 3 to 6 of 6 of counts, after 0"),
    );
    expect(() => exact!.takeCounts(words, { at: 0, of: 303 })).toThrow(
      /^303 words of counts, where there are 300 at most/,
    );
    expect(() => exact!.takeCounts(new Uint32Array(6), { at: 0, of: 6 })).toThrow("a key is twice among the counts");
    expect(() => exact!.takeCounts(new Uint32Array(4), { at: 0, of: 4 })).toThrow(/^4 words of a counter of 100 keys/);
    expect(() => bloom!.takeCounts(words, { at: 0, of: 3 })).toThrow(/^3 words of a filter that has 2876 counters/);
  });
});
