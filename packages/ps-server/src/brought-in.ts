/** Keys and values of a frame, in the one memory that they are for. */
import type { FrameSegments } from "./frame-segments.ts";
import type { ReplyBuffer, ReplyBuffers } from "./reply-buffers.ts";

/**
 * Copies the keys and values that lie outside of the one memory that they are for. Otherwise each segment would be
 * copied to be checked, and again to be applied.
 *
 * @returns the buffer they are in, to be given back; undefined where nothing had to be copied
 * @throws {ClusterError} LIMIT_EXCEEDED: the memory is full
 */
export function broughtIn(segments: FrameSegments, buffers: ReplyBuffers): ReplyBuffer | undefined {
  const { keys, values } = segments;
  const arena = segments.arena();
  if (!arena) return undefined;
  const floats = values.buffer === arena.floats.buffer ? 0 : values.length;
  const words = keys.buffer === arena.words.buffer ? 0 : keys.length;
  if (floats + words === 0) return undefined;
  const buffer = buffers.take(arena, 4 * (floats + words));
  const keysAt = buffer.valuesAt / 4;
  const valuesAt = keysAt + words;
  if (words > 0) {
    arena.words.set(keys, keysAt);
    segments.setKeys(arena.words.subarray(keysAt, valuesAt));
  }
  if (floats > 0) {
    arena.floats.set(values, valuesAt);
    segments.setValues(arena.floats.subarray(valuesAt, valuesAt + floats));
  }
  return buffer;
}
