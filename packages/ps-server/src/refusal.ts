/** What a PS node answers to what it cannot do. */
import type { LinkId, PsEffect } from "./effects.ts";
import { ClusterError } from "@volary/core/errors";
import type { ControlOf } from "@volary/core/wire";

/** Mistakes and limits are answered; broken protocol and our own bugs are not. */
export function isRefusal(error: unknown): error is RangeError | ClusterError {
  return error instanceof RangeError || error instanceof ClusterError;
}

/** @throws what is no refusal */
export function refusalOf(error: unknown): ControlOf<"error"> {
  if (!isRefusal(error)) throw error;
  const code = error instanceof ClusterError ? error.code : "BAD_UPDATE";
  return { type: "error", code, message: error.message };
}

export function unknownJob(link: LinkId, job: number, requestId = 0): PsEffect {
  const message = `job ${job} is not open on this PS node: it has ended, or this worker belongs to another cluster`;
  return { kind: "control", link, control: { type: "error", code: "UNKNOWN_JOB", message, job, requestId } };
}
