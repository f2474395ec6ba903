/** A stream for tests that takes nothing by itself: what was written waits until the test says that it is sent. */
import { joined } from "./raw-frames.ts";
import type { ByteStream } from "./sender.ts";

export class FakeStream implements ByteStream {
  readonly pieces: Uint8Array[] = [];
  readonly waiting: (() => void)[] = [];
  isEnded = false;
  isDestroyed = false;
  bufferedBytes = 0;

  write(header: Uint8Array, payload: Uint8Array, onSent: (() => void) | undefined): void {
    this.pieces.push(header, payload);
    if (onSent) this.waiting.push(onSent);
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  /** All that was written. */
  get bytes(): number[] {
    return Array.from(joined(this.pieces));
  }

  /** The system takes what waits. */
  sent(): void {
    for (const onSent of this.waiting.splice(0)) onSent();
  }
}
