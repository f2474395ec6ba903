/** Ctrl-C and SIGTERM while a command runs: the first asks it to end gracefully, the second ends it at once. */
import { EXIT_INTERRUPTED } from "../user-error.ts";

/**
 * Runs `body` with a signal that a Ctrl-C aborts.
 *
 * @param kill ends at once whatever would outlive this process
 */
export async function interruptible<T>(
  body: (signal: AbortSignal) => Promise<T>,
  { kill }: { kill: () => void },
): Promise<T> {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) {
      kill();
      process.exit(EXIT_INTERRUPTED);
    }
    controller.abort(new Interrupted());
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    return await body(controller.signal);
  } catch (error) {
    // What was interrupted fails in ways of its own; the person knows why.
    if (controller.signal.aborted) throw new Interrupted({ cause: error });
    throw error;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

export class Interrupted extends Error {
  override readonly name = "Interrupted";

  constructor(options?: ErrorOptions) {
    super("interrupted before the end", options);
  }
}

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
