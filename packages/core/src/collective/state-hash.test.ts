import { expect, test } from "vitest";
import { stateHash } from "./state-hash.ts";

test("stateHash() names the bits of floats", () => {
  const floats = Float32Array.from({ length: 1001 }, (_, i) => Math.sin(i));
  expect(stateHash(floats)).toMatch(/^[0-9a-f]{16}$/);
  expect(stateHash(floats.slice())).toBe(stateHash(floats));
  expect(stateHash(floats.subarray(1))).toBe(stateHash(floats.slice(1)));
  const changed = floats.slice();
  new Uint32Array(changed.buffer)[500]! ^= 1;
  expect(stateHash(changed)).not.toBe(stateHash(floats));
  expect(stateHash(Float32Array.of(0))).not.toBe(stateHash(Float32Array.of(-0)));
});
