import { expect, it } from "vitest";
import { clipSchema } from "./index.ts";

it("a clip is one bound, as in Keras: of two, the order would matter", () => {
  for (const clip of [{ value: 1 }, { norm: 1 }, { globalNorm: 1 }, {}]) expect(clipSchema.parse(clip)).toEqual(clip);
  expect(clipSchema.safeParse({ value: 1, globalNorm: 2 }).error?.issues[0]?.message).toBe(
    "give one of value, norm and globalNorm: two bounds in one clip depend on their order",
  );
  expect(clipSchema.safeParse({ norm: 0 }).success).toBe(false);
});
