/** What the messages' schemas are made of: fields that many have, and the frame that all have. */
import { z } from "zod";

export const u32 = z.number().int().min(0).max(0xffff_ffff);
export const name = z.string().min(1).max(500);
export const address = z.string().max(500);
export const text = z.string().max(100_000);
/** What lets a volunteer in, or goes on with what let it in. */
export const secret = z.string().min(16).max(200);
export const counts = z.record(z.string().max(100), u32);

/** One attempt of a step: an attempt is named by the term whose leader started it. */
export const attemptOf = { step: u32, attempt: u32 };

/** A message of `type`, which has these fields and no others. */
export const message = <T extends string, S extends z.core.$ZodLooseShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), ...shape });
