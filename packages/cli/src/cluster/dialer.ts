/** How a client of a cluster reaches it, and its clock. */
import { LIMITS } from "@volary/core/limits";
import { realClockOn, type Clock, type Dialer } from "@volary/core/wire";
import { RecycledBuffers } from "@volary/core/wire/websocket";
import { wsDialer } from "@volary/ps-server";

export const realClock: Clock = realClockOn({
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  afterReading: (run) => void setImmediate(run),
});

export const dialer: Dialer = dialerOn({});

/** @param trustedNetwork what is sent to other machines need not be masked */
export function dialerOn({ trustedNetwork }: { trustedNetwork?: boolean | undefined }): Dialer {
  return wsDialer({
    clock: realClock,
    trustedNetwork,
    buffers: new RecycledBuffers({ bytesMax: LIMITS.receiveBuffersBytesMax }),
  });
}
