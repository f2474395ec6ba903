/** Time as an argument: the real clock in processes, a simulated one in tests and in the whole-cluster simulation. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
}
