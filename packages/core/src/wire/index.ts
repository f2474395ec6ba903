export {
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  controlSchema,
  decodeControl,
  encodeControl,
  type Control,
  type ControlOf,
  type ControlType,
} from "./control.ts";
export type { ClusterEvent, ClusterStatus, GatewayStatus, LeafStatus } from "./messages/cluster-status.ts";
export type { Role } from "./messages/connection.ts";
export type {
  BadRowsNews,
  EpochNews,
  JobNews,
  JobPhase,
  JobStatus,
  StepNews,
  ValidationNews,
} from "./messages/job-status.ts";
export type { Member } from "./messages/workers.ts";
export {
  DTYPES,
  END_OF_EXPORT,
  FRAME_VERSION,
  HEADER_BYTES,
  bytesOfFrame,
  copyOfFrame,
  decodeFrame,
  encodeFrame,
  frame,
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
