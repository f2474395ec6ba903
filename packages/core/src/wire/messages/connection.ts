/** What the two sides of every connection say: who they are, that they live, and what is wrong. */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { message, name, secret, text, u32 } from "./fields.ts";

const version = z.number().int().min(0).max(65_535);

const roleSchema = z.enum(["worker", "ps", "client", "peer", "coordinator", "gateway", "leaf"]);
export type Role = z.infer<typeof roleSchema>;

export const connectionMessages = [
  // The first three are read by peers of other versions, so what those add is let pass.
  message("hello", {
    protocol: z.object({ min: version, max: version }),
    role: roleSchema,
    name,
    id: u32.optional(),
    job: u32.optional(),
    /** Of a volunteer, to a gateway. */
    session: secret.optional(),
  }).strip(),
  message("welcome", { protocol: version, name }).strip(),
  message("refuse", { code: name, message: text }).strip(),
  message("error", { code: name, message: text, job: u32.optional(), requestId: u32.optional() }),
  message("heartbeat", {
    rows: u32.optional(),
    bytes: z.number().optional(),
    bytesMax: z.number().optional(),
    diskRows: u32.optional(),
    /** Of a PS node: rows read and changed for clients since the last one, by partition. */
    load: z
      .strictObject({
        partitions: z.array(u32).max(LIMITS.partitionsMax),
        rows: z.array(u32).max(LIMITS.partitionsMax),
      })
      .refine(({ partitions, rows }) => partitions.length === rows.length, "must have one number of rows a partition")
      .optional(),
  }),
] as const;
