/**
 * Keeps full garbage collections off the training path.
 *
 * A step allocates some ten megabytes of typed arrays. V8 counts them apart from its heap and starts a full
 * collection whenever 64 MB have come, whatever is live: one every second step of a worker. With this flag they count
 * against the heap's own limit, which grows with what is live. Measured on 60 steps of the flights demo, 2 cores: 28–34
 * full collections instead of 195–206, and 1.25–1.4 times the speed; see docs/decisions/0007. Not for a PS node: the
 * memories of its rows would count too, 4 GiB each whatever is used of them, and V8 would collect without end.
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
