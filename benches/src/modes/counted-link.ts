/** Bytes of frames over a worker's links, by what the frames are for. */
import { bytesOfFrame, type Frame, type Link, type Opcode } from "@volary/core/wire";

/**
 * Bytes of the frames that were sent and received, headers of frames and all; what WebSocket and TCP add is not
 * counted.
 */
export class FrameBytes {
  readonly #sent = new Map<Opcode, number>();
  readonly #received = new Map<Opcode, number>();

  sentOf(opcodes: readonly Opcode[]): number {
    return sumOf(this.#sent, opcodes);
  }

  receivedOf(opcodes: readonly Opcode[]): number {
    return sumOf(this.#received, opcodes);
  }

  reset(): void {
    this.#sent.clear();
    this.#received.clear();
  }

  /** A link whose frames are counted here. */
  through(link: Link): Link {
    return {
      get name() {
        return link.name;
      },
      sendControl: (control) => link.sendControl(control),
      sendFrame: (frame, onSent) => {
        add(this.#sent, frame);
        link.sendFrame(frame, onSent);
      },
      close: (reason) => link.close(reason),
      listen: (events) =>
        link.listen({
          onControl: (control) => events.onControl(control),
          onFrame: (frame) => {
            add(this.#received, frame);
            events.onFrame(frame);
          },
          onClose: (reason) => events.onClose(reason),
        }),
    };
  }
}

function add(to: Map<Opcode, number>, frame: Frame): void {
  to.set(frame.opcode, (to.get(frame.opcode) ?? 0) + bytesOfFrame(frame));
}

const sumOf = (bytes: ReadonlyMap<Opcode, number>, opcodes: readonly Opcode[]): number =>
  opcodes.reduce((sum, opcode) => sum + (bytes.get(opcode) ?? 0), 0);
