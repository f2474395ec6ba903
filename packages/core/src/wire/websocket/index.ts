export { FRESH_BUFFERS, RecycledBuffers, type BufferPool } from "../buffer-pool.ts";
export { CLOSE_CODES, WebSocketError } from "./close-code.ts";
export { Connection, type ConnectionOptions } from "./connection.ts";
export { gatheredWrites } from "./gathered-writes.ts";
export {
  acceptText,
  readUpgrade,
  refusalResponse,
  responseFault,
  upgradeHeaders,
  upgradeResponse,
  type Headers,
} from "./handshake.ts";
export { Receiver, type ReceiverEvents, type ReceiverOptions } from "./receiver.ts";
export { Sender, type ByteStream, type SenderOptions } from "./sender.ts";
