/** Instants as text, for tests: an oracle that shares no code with the parser. */

/** Microseconds since 1970 in ISO 8601, whole seconds of the years 1 to 9999. */
export function isoText(micros: bigint): string {
  return new Date(Number(micros / 1000n)).toISOString().slice(0, 19);
}
