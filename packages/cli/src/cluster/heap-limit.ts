/**
 * Keeps full garbage collections off the training path.
 *
 * A step allocates some ten megabytes of typed arrays. V8 counts them apart from its heap and starts a full
 * collection whenever 64 MB have come, whatever is live: one every second step, a quarter of a worker's time. With
 * this flag they count against the heap's own limit, which grows with what is live. Measured on the flights demo, 60
 * steps, 2 cores: 200 full collections without, 36 with it; see docs/decisions/0007.
 *
 * Delete when V8 does so by default.
 */
import { setFlagsFromString } from "node:v8";

/** V8 13, of Node 24, is the first known to have the flag; V8 complains on stderr about unknown ones. */
const V8_MIN = 13;

export function growHeapWithArrays(): void {
  const version = Number.parseInt(process.versions.v8, 10);
  if (version >= V8_MIN) setFlagsFromString("--external-memory-accounted-in-global-limit");
}
