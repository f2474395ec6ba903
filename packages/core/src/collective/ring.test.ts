import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProtocolError } from "../errors.ts";
import { RingAllReduce, type RingPiece } from "./ring.ts";

/** Runs a whole ring, delivering pieces in the order `pick` chooses among the links. */
function runRing(inputs: Float32Array[], partFloats: number, pick: (links: number) => number): Float32Array[] {
  const size = inputs.length;
  const data = inputs.map((input) => input.slice());
  const rings = data.map((d, rank) => new RingAllReduce({ rank, size, data: d, partFloats }));
  const queues: RingPiece[][] = rings.map((ring) => ring.start());
  for (;;) {
    const busy = queues.flatMap((queue, rank) => (queue.length > 0 ? [rank] : []));
    if (busy.length === 0) break;
    const from = busy[pick(busy.length)]!;
    const to = (from + 1) % size;
    queues[to]!.push(...rings[to]!.receive(queues[from]!.shift()!));
  }
  for (const ring of rings) expect(ring.done).toBe(true);
  return data;
}

/** The documented order: chunk c is summed from rank c + 1 cyclically, in float32. */
function serialSum(inputs: Float32Array[]): Float32Array {
  const size = inputs.length;
  const n = inputs[0]!.length;
  const out = new Float32Array(n);
  for (let c = 0; c < size; c++) {
    for (let i = Math.floor((n * c) / size); i < Math.floor((n * (c + 1)) / size); i++) {
      let sum = inputs[(c + 1) % size]![i]!;
      for (let k = 2; k <= size; k++) sum = Math.fround(sum + inputs[(c + k) % size]![i]!);
      out[i] = sum;
    }
  }
  return out;
}

describe("RingAllReduce", () => {
  test("rejects a piece of another rank's turn", () => {
    const ring = new RingAllReduce({ rank: 0, size: 3, data: new Float32Array(9) });
    expect(() => ring.receive({ hop: 0, chunk: 0, part: 0, values: new Float32Array(3) })).toThrow(ProtocolError);
    expect(() => ring.receive({ hop: 9, chunk: 1, part: 0, values: new Float32Array(3) })).toThrow(ProtocolError);
    expect(() => ring.receive({ hop: 0, chunk: 70_000, part: 0, values: new Float32Array(3) })).toThrow(ProtocolError);
  });

  test("ignores a repeated piece", () => {
    const ring = new RingAllReduce({ rank: 0, size: 2, data: Float32Array.of(1, 2) });
    const piece = { hop: 0, chunk: 0, part: 0, values: Float32Array.of(10) };
    expect(ring.receive(piece)).toHaveLength(1);
    expect(ring.receive(piece)).toHaveLength(0);
  });

  test("a ring of one is done at once", () => {
    const ring = new RingAllReduce({ rank: 0, size: 1, data: Float32Array.of(1) });
    expect(ring.start()).toEqual([]);
    expect(ring.done).toBe(true);
  });

  test("sums in fixed ring order, bit for bit, whatever the timing", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.infiniteStream(fc.nat()),
        fc.infiniteStream(fc.float({ noNaN: true, noDefaultInfinity: true })),
        (size, n, partFloats, picks, floats) => {
          const draw = floats[Symbol.iterator]();
          const inputs = Array.from({ length: size }, () =>
            Float32Array.from({ length: n }, () => draw.next().value as number),
          );
          const order = picks[Symbol.iterator]();
          const results = runRing(inputs, partFloats, (links) => (order.next().value as number) % links);
          const expected = size === 1 ? inputs[0]! : serialSum(inputs);
          for (const result of results) expect(result).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });
});
