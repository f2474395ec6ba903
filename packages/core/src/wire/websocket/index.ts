export { FRESH_BUFFERS, RecycledBuffers, type BufferPool } from "../buffer-pool.ts";
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
export type { ByteStream } from "./sender.ts";
