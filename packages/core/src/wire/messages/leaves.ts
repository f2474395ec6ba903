/** Reducer ↔ volunteer, through a gateway: tasks, their updates, and groups of volunteers that trust each other. */
import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import { message, name, text, u32 } from "./fields.ts";

export const leafMessages = [
  /** What the volunteer computes with, and what its probe of one real step of so many samples took. */
  message("leaf-join", { device: z.string().max(500), samples: u32, computeMs: z.number().nonnegative() }),
  /** Asks for one more task. */
  message("leaf-ready", {}),
  /** Asks for none until it is ready again. */
  message("leaf-pause", { reason: z.enum(["asked", "hidden", "battery", "data", "limits"]) }),
  /**
   * Its frames came before: `leafDense` if the weights are not those the volunteer has, then `leafRows`,
   * `leafRowNumbers` and `leafInputs`.
   * `globalSamples` is what the sum of losses is divided by.
   */
  message("leaf-task", { task: u32, step: u32, samples: u32, globalSamples: u32, weighted: z.boolean() }),
  /** Its frames came before: `leafRowGradients` and `leafDenseGradients`. */
  message("leaf-update", { task: u32, lossSum: z.number(), computeMs: z.number().nonnegative() }),
  /** The update counts: it is in the gradients of `step`. */
  message("leaf-accepted", { task: u32, step: u32, samples: u32, stepSamples: u32 }),
  message("leaf-refused", { task: u32, code: name, message: text }),
  /** The last word; "error" codes say whether the volunteer may come again. */
  message("leaf-end", { code: name, message: text, mayReturn: z.boolean() }),
  /** What volunteers that trust each other need to connect: WebRTC descriptions and candidates, as they are. */
  message("leaf-signal", { from: u32, to: u32, data: text }),
  /** Average the dense gradients of the task among these: the reducer is 0, the others volunteers. */
  message("leaf-group", { task: u32, round: u32, members: z.array(u32).max(LIMITS.leavesMax) }),
] as const;
