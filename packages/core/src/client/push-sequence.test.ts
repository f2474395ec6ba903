import { expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import { PushSequence } from "./push-sequence.ts";

test("settled is the last number before the first that is not, whatever the order of the answers", async () => {
  const pushes = new PushSequence({ random: () => 0.5 });
  for (let i = 0; i < 4; i++) await pushes.next();
  pushes.settle(3);
  expect(pushes.identity(4).settled).toBe(0);
  pushes.settle(1);
  expect(pushes.identity(4).settled).toBe(1);
  pushes.settle(2);
  expect(pushes.identity(4)).toEqual({ client: (Number.MAX_SAFE_INTEGER + 1) / 2, sequence: 4, settled: 3 });
});

test("no number is given that the nodes would refuse: the next one waits for the oldest", async () => {
  const pushes = new PushSequence({ random: () => 0 });
  for (let i = 0; i < LIMITS.directPushesMax; i++) await pushes.next();
  const next = pushes.next();
  pushes.settle(2);
  expect(await Promise.race([next, Promise.resolve("waits")])).toBe("waits");
  pushes.settle(1);
  expect(await next).toBe(LIMITS.directPushesMax + 1);
  expect(pushes.identity(LIMITS.directPushesMax + 1).settled).toBe(2);
});
