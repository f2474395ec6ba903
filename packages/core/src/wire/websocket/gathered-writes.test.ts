import { expect, test } from "vitest";
import { gatheredWrites } from "./gathered-writes.ts";

/** A stream that notes what each write to the system would take. */
function notingStream() {
  const writes: number[] = [];
  const after: (() => void)[] = [];
  let corks = 0;
  let bytes = 0;
  const flush = () => {
    if (bytes > 0) writes.push(bytes);
    bytes = 0;
  };
  const stream = {
    get writableLength() {
      return bytes;
    },
    cork: () => void corks++,
    uncork: () => --corks === 0 && flush(),
    write: (more: Uint8Array) => {
      bytes += more.length;
      if (corks === 0) flush();
    },
    end: () => {
      flush();
      writes.push(-1);
    },
    destroy() {},
  };
  const endTurn = () => {
    for (const run of after.splice(0)) run();
  };
  return { writes, endTurn, corks: () => corks, stream: gatheredWrites(stream, (run) => after.push(run)) };
}

const HEADER = new Uint8Array(2);

test("what is written in one turn goes out as one write when it is over", () => {
  const { writes, stream, endTurn, corks } = notingStream();
  for (let i = 0; i < 3; i++) stream.write(HEADER, new Uint8Array(10), undefined);
  expect(writes).toEqual([]);
  endTurn();
  stream.write(HEADER, new Uint8Array(10), undefined);
  endTurn();
  expect(writes).toEqual([36, 12]);
  expect(corks()).toBe(0);
});

test("much goes out at once", () => {
  const { writes, stream, endTurn, corks } = notingStream();
  stream.write(HEADER, new Uint8Array(100_000), undefined);
  expect(writes).toEqual([100_002]);
  stream.write(HEADER, new Uint8Array(10), undefined);
  endTurn();
  endTurn();
  expect(writes).toEqual([100_002, 12]);
  expect(corks()).toBe(0);
});

test("what was written goes out before the end", () => {
  const { writes, stream, endTurn } = notingStream();
  stream.write(HEADER, new Uint8Array(10), undefined);
  stream.end();
  endTurn();
  expect(writes).toEqual([12, -1]);
});
