/**
 * A link: one WebSocket between a pair of processes, seen from one end. Ordered and reliable until it closes;
 * what was sent before the close may or may not have arrived. Adapters: our own WebSocket in
 * Node, the browser's, and the simulated network. Every adapter passes `testing/transport.contract.ts`.
 */
import type { ClusterErrorCode } from "../errors.ts";
import type { Control } from "./control.ts";
import type { Frame } from "./frame.ts";

export type Message = { control: Control } | { frame: Frame };

export interface LinkEvents {
  onControl(control: Control): void;
  /** The frame's arrays may be views of memory that is used again once this returns: who keeps them copies. */
  onFrame(frame: Frame): void;
  /** Called once, whoever closed. `reason` is for people; `fault` is there if this end closed over what the other did. */
  onClose(reason: string, fault?: LinkFault): void;
}

/** What ends a link: bytes that break the protocol, a message that is too long, or much that waits to be read. */
export type LinkFault = Extract<ClusterErrorCode, "PROTOCOL_VIOLATION" | "LIMIT_EXCEEDED" | "SLOW_READER">;

export interface Link {
  /** Who is at the other end, for messages to people. */
  readonly name: string;
  sendControl(control: Control): void;
  /**
   * Sends a frame. Its arrays may change as soon as this returns, except those of a frame that is encoded where it
   * lies (`headRoom`), or is lent (`lent`): they must stay untouched until `onSent` is called, once, whether the bytes
   * went out or the link closed.
   */
  sendFrame(frame: Frame, onSent?: () => void): void;
  close(reason: string): void;
  /** Must be called once before anything arrives; messages wait until then. */
  listen(events: LinkEvents): void;
}

/** Opens links by address; the hello is exchanged before the promise resolves. */
export interface Dialer {
  /** @throws {ClusterError} the refusal's code; COORDINATOR_UNAVAILABLE when nothing answers there, whoever it was; TIMEOUT */
  dial(address: string, hello: Hello): Promise<Link>;
}

export interface Hello {
  role: "worker" | "ps" | "client" | "peer" | "coordinator" | "gateway" | "leaf";
  name: string;
  /** Of a worker, PS node or volunteer. */
  id?: number;
  job?: number;
  /** Of a volunteer, to a gateway. */
  session?: string;
}
