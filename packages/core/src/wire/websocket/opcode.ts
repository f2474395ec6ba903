/** The opcodes of RFC 6455 §5.2. Those from 8 on are control frames. */
export const OPCODE = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** Payload bytes of a control frame at most. */
export const CONTROL_BYTES_MAX = 125;

/** The second byte of a header: the length is in the 2, or the 8, bytes that follow. */
export const LENGTH_16 = 126;
export const LENGTH_64 = 127;
