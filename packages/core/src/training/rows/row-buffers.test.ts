import { expect, it } from "vitest";
import { LIMITS } from "../../limits.ts";
import { RowBuffers } from "./row-buffers.ts";

it("a buffer that was given back is used again by who needs no more, and by nobody else before", () => {
  const buffers = new RowBuffers();
  const first = buffers.take(100);
  const second = buffers.take(100);
  expect(second).not.toBe(first);
  buffers.give(first);
  expect(buffers.take(first.length + 1)).not.toBe(first);
  expect(buffers.take(90)).toBe(first);
});

it("only a few are kept, the longest ones", () => {
  const buffers = new RowBuffers();
  const lent = Array.from({ length: LIMITS.rowBuffersKept + 2 }, (_, i) => buffers.take(100 * (i + 1)));
  for (const buffer of lent) buffers.give(buffer);
  const again = Array.from(lent, () => buffers.take(1));
  expect(again.filter((buffer) => lent.includes(buffer))).toHaveLength(LIMITS.rowBuffersKept);
  expect(again).not.toContain(lent[0]);
});
