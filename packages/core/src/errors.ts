/**
 * The three kinds of failure that are not a caller's mistake (those are TypeError and RangeError):
 * a distributed failure that was to be expected, hostile or broken bytes, and a broken invariant.
 */

/** Stable codes of {@link ClusterError}; they travel in `error` and `refuse` messages. */
export type ClusterErrorCode =
  | "COORDINATOR_UNAVAILABLE"
  | "PARTITION_UNAVAILABLE"
  | "STALE_GENERATION"
  | "STALE_TERM"
  | "UNKNOWN_JOB"
  | "NOT_A_MEMBER"
  | "NAME_TAKEN"
  | "PROTOCOL_VERSION"
  | "PROTOCOL_VIOLATION"
  | "LIMIT_EXCEEDED"
  | "BAD_JOB"
  | "BAD_DATA"
  | "BAD_UPDATE"
  | "NAN_LOSS"
  | "DATA_DIFFERS"
  | "NO_WORKERS"
  | "WEIGHTS_DIFFER"
  | "JOB_FAILED"
  | "JOB_STOPPED"
  | "ADDRESS_IN_USE"
  | "TIMEOUT"
  // Volunteers, their tokens and their updates:
  | "TOKEN_UNKNOWN"
  | "TOKEN_USED"
  | "TOKEN_EXPIRED"
  | "TOKEN_ROLE"
  | "WRONG_ORIGIN"
  | "TOO_MANY"
  | "SESSION_ENDED"
  | "BAD_INVITATION"
  | "UPDATE_SHAPE"
  | "UPDATE_NOT_FINITE"
  | "UPDATE_NORM"
  | "UPDATE_LATE"
  | "UPDATE_DIFFERS"
  | "NO_REDUCER"
  | "SLOW_READER";

const RETRYABLE: ReadonlySet<ClusterErrorCode> = new Set<ClusterErrorCode>([
  "COORDINATOR_UNAVAILABLE",
  "PARTITION_UNAVAILABLE",
  "STALE_GENERATION",
  "STALE_TERM",
  "TIMEOUT",
  "NO_REDUCER",
  "SLOW_READER",
]);

/** An expected distributed failure. `retryable` is decided by one table, never at the place of the throw. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
  /** Stable, for programs; the message is for people. */
  readonly code: ClusterErrorCode;

  constructor(code: ClusterErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** May the same call succeed later? */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

/** Bytes that break the protocol. They close the connection they came over, and nothing else. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Asserts an invariant of our own code; a failure is a bug in Volary, never the caller's fault. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}
