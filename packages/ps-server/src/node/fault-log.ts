/** What to do with a bug that one link's message brought out: that link is closed, and the log says where it was. */
import type { FaultSink } from "@volary/core/wire";

export function faultLog(log: (message: string) => void): FaultSink {
  return (error) => log(`a bug in Volary closed a connection: ${error instanceof Error ? error.stack : String(error)}`);
}
