import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ColdPlaces } from "./cold-places.ts";

function taken(places: ColdPlaces, n: number): number[] {
  const out = new Uint32Array(n);
  places.take(n, out);
  return [...out];
}

describe("ColdPlaces", () => {
  it("gives new places one after the other", () => {
    const places = new ColdPlaces();
    expect(taken(places, 3)).toEqual([0, 1, 2]);
    expect(taken(places, 40)).toEqual(Array.from({ length: 40 }, (_, i) => 3 + i));
    expect(places.count).toBe(43);
  });

  it("gives free places before new ones, ascending even where the search begins anew at 0", () => {
    const places = new ColdPlaces();
    taken(places, 100);
    places.free(70);
    places.free(3);
    expect(taken(places, 1)).toEqual([3]);
    places.free(5);
    expect(taken(places, 4)).toEqual([5, 70, 100, 101]);
  });

  it("agrees with a set of places over any takes and frees", () => {
    const commands = fc.array(
      fc.oneof(
        fc.nat(70),
        fc.nat(1000).map((at) => -1 - at),
      ),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(commands, (list) => {
        const places = new ColdPlaces();
        const model = new Set<number>();
        for (const command of list) {
          if (command >= 0) {
            const free = Math.min(command, places.end - model.size);
            const end = places.end + command - free;
            const out = taken(places, command);
            expect(out).toEqual(out.toSorted((a, b) => a - b));
            for (const place of out) {
              expect(model.has(place)).toBe(false);
              model.add(place);
            }
            expect(places.end).toBe(end);
          } else if (model.size > 0) {
            const place = [...model][(-1 - command) % model.size]!;
            model.delete(place);
            places.free(place);
          }
        }
        const sorted = [...model].toSorted((a, b) => a - b);
        const out = new Uint32Array(model.size + 1);
        expect(places.list(0, out.length, out)).toBe(model.size);
        expect([...out.subarray(0, model.size)]).toEqual(sorted);
        expect(places.count).toBe(model.size);
      }),
    );
  });
});
