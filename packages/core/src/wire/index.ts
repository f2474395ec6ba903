export {
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  clusterStatusSchema,
  controlSchema,
  decodeControl,
  encodeControl,
  jobStatusSchema,
  negotiate,
  versionRefusal,
  type BadRowsNews,
  type ClusterEvent,
  type ClusterStatus,
  type Control,
  type ControlOf,
  type ControlType,
  type EpochNews,
  type GatewayStatus,
  type JobNews,
  type JobPhase,
  type JobStatus,
  type LeafStatus,
  type Member,
  type Role,
  type StepNews,
  type ValidationNews,
} from "./control.ts";
export {
  DTYPES,
  END_OF_EXPORT,
  FRAME_MAGIC,
  FRAME_VERSION,
  HEADER_BYTES,
  bytesOfFrame,
  copyOfFrame,
  KEY_LIST_NAME_BYTES,
  decodeFrame,
  encodeFrame,
  frame,
  headRoomOf,
  type Frame,
} from "./frame.ts";
export { isRecord, OPCODES, type Opcode, type RecordOpcode } from "./opcodes.ts";
export { realClockOn, type Clock, type Timers } from "./clock.ts";
export { KeyLists, KeyNames, type KeySections } from "./key-lists.ts";
export { connectWithBackoff, type ConnectOptions } from "./connect.ts";
export type { Dialer, Hello, Link, LinkEvents, LinkFault, Message } from "./link.ts";
export {
  acceptLink,
  openLink,
  type AcceptLinkOptions,
  type FaultSink,
  type OpenLinkOptions,
  type Socket,
} from "./socket-link.ts";
