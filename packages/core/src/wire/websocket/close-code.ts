/** The close codes of RFC 6455 §7.4 that a connection itself uses, and the violations that end one. */
import { ProtocolError } from "../../errors.ts";

export const CLOSE_CODES = {
  PROTOCOL_ERROR: 1002,
  /** Never sent: a close frame came without a code. */
  NONE: 1005,
  /** Never sent: no close frame came. */
  BROKEN: 1006,
  /** Text, or the reason of a close, that is no UTF-8. */
  BAD_TEXT: 1007,
  TOO_BIG: 1009,
} as const;

/** Bytes that break RFC 6455. The connection they came over is closed with `closeCode`, and no other. */
export class WebSocketError extends ProtocolError {
  readonly closeCode: number;

  constructor(closeCode: number, message: string) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** May a close frame carry it? The RFC's own codes but those that stand for an absence, and private ones. */
export function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== CLOSE_CODES.NONE && code !== CLOSE_CODES.BROKEN;
}
