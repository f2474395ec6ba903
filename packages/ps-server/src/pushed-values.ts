/** The values of a frame that carries gradients or rows, as floats in the memory of the rows. */
import { ProtocolError } from "@volary/core/errors";
import type { Frame } from "@volary/core/wire";
import { decodeInto, type CodedValues } from "./coded-values.ts";
import type { JobShard } from "./job-shard.ts";
import type { NodeContext } from "./node-context.ts";
import type { ReplyBuffer } from "./reply-buffers.ts";

/**
 * Lays out a frame that carries values.
 *
 * @returns the buffer that they were decoded into, to be given back; undefined where they are floats already
 * @throws {ProtocolError} as many values as its keys do not need
 */
export function openValues(context: NodeContext, shard: JobShard, f: Frame): ReplyBuffer | undefined {
  const { segments, buffers, memory } = context;
  segments.open(shard, f);
  const bytes = f.dtype === "float32" ? 4 * f.values.length : f.coded.length;
  if (segments.bytes !== bytes) {
    throw new ProtocolError(
      `${f.opcode} frame of job ${shard.job} carries ${bytes} bytes of ${f.dtype} values where its keys need ${segments.bytes}`,
    );
  }
  if (f.dtype === "float32") return undefined;
  const buffer = buffers.take(memory.first, 4 * segments.floats);
  try {
    segments.setValues(decodeInto(buffer, { dtype: f.dtype, coded: f.coded } satisfies CodedValues, segments));
  } catch (error) {
    buffers.give(buffer);
    throw error;
  }
  return buffer;
}
