/**
 * Frames as a server may get them: views of bytes that are used again as soon as the handler returns. Who keeps one
 * without copying it finds it scribbled over.
 */
import { decodeFrame, encodeFrame, type Frame, type Link } from "../wire/index.ts";

const SCRIBBLE = 0xdb;

/** Hands a copy of a frame to `handle`, and scribbles over it afterwards. */
export function lend(frame: Frame, handle: (borrowed: Frame) => void): void {
  const bytes = encodeFrame(frame).slice();
  try {
    handle(decodeFrame(bytes));
  } finally {
    bytes.fill(SCRIBBLE);
  }
}

/** `link`, whose frames are lent to its listener. */
export function lendingLink(link: Link): Link {
  return {
    get name() {
      return link.name;
    },
    sendControl: (control) => link.sendControl(control),
    sendFrame: (frame, onSent) => link.sendFrame(frame, onSent),
    close: (reason) => link.close(reason),
    listen: (events) =>
      link.listen({
        onControl: (control) => events.onControl(control),
        onFrame: (frame) => lend(frame, (borrowed) => events.onFrame(borrowed)),
        onClose: (reason) => events.onClose(reason),
      }),
  };
}
