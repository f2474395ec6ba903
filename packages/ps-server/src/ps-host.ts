/**
 * Connects the pure {@link PsNode} to links and a clock, whichever they are: real ones in `node/ps-server.ts`,
 * simulated ones in tests and in the whole-cluster simulation.
 *
 * What happens when a peer dies here: a lost worker's pulls are forgotten; without a coordinator the node serves on.
 * A coordinator that is joined anew gives a new node number and counts the rows of before as lost, so they are
 * dropped.
 */
import { ClusterError, ProtocolError, type ClusterErrorCode } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Plugins } from "@volary/core/plugin";
import type { TableMemory } from "@volary/core/table";
import type { Clock, Control, ControlOf, ControlType, Link } from "@volary/core/wire";
import { PsNode, type LinkId, type PsBounds, type PsEffect, type PsEffects } from "./ps-node.ts";

export interface PsHostOptions {
  name: string;
  clock: Clock;
  log: (message: string) => void;
  /** Of rows and of frames in passing. */
  memory: TableMemory;
  bounds?: PsBounds;
  /** Server updates that its operator loaded; none by default. */
  plugins?: Plugins | undefined;
  /** The node serves on; its owner may dial again and `join`. */
  onCoordinatorLost: (reason: string) => void;
}

const COORDINATOR: LinkId = 0;

/** Who may say what: an open port must not let a worker play the coordinator. */
const FROM_COORDINATOR: ReadonlySet<ControlType> = new Set<ControlType>([
  "map",
  "open-job",
  "close-job",
  "heartbeat",
  "error",
]);
const FROM_CLIENTS: ReadonlySet<ControlType> = new Set<ControlType>(["fence", "start", "commit", "heartbeat", "error"]);

export class PsHost {
  readonly #o: PsHostOptions;
  readonly #links = new Map<LinkId, Link>();
  #nextLink = COORDINATOR + 1;
  #node: PsNode | undefined;
  #cancelHeartbeat: () => void = () => {};
  #stopped = false;
  readonly #effects: PsEffects = { push: (effect) => this.#carryOut(effect) };

  constructor(o: PsHostOptions) {
    this.#o = o;
  }

  /** Undefined before the first join. */
  get node(): PsNode | undefined {
    return this.#node;
  }

  /** Why a peer that says hello is turned away, if it is. */
  refuse({ role }: ControlOf<"hello">): { code: ClusterErrorCode; message: string } | undefined {
    const { name } = this.#o;
    if (role !== "worker" && role !== "client") {
      return { code: "PROTOCOL_VIOLATION", message: `PS node ${name} serves workers and clients, not a ${role}` };
    }
    if (!this.#node)
      return { code: "PARTITION_UNAVAILABLE", message: `PS node ${name} has not joined its cluster yet` };
    return undefined;
  }

  /** A worker or client. */
  accept(link: Link): void {
    if (this.#stopped) {
      link.close("the PS node stops");
      return;
    }
    const id = this.#nextLink++;
    this.#links.set(id, link);
    link.listen({
      onControl: (control) => {
        if (!FROM_CLIENTS.has(control.type))
          throw new ProtocolError(`a PS node takes no "${control.type}" from a client`);
        this.#node!.handleControl(id, control, this.#effects);
      },
      onFrame: (f) => this.#node!.handleFrame(id, f, this.#effects),
      onClose: () => {
        this.#links.delete(id);
        this.#node!.handleClose(id);
      },
    });
  }

  /**
   * Joins the cluster of a coordinator, with no rows.
   *
   * @param o.address where clients reach this node
   * @returns the node's number
   * @throws {ClusterError} what the coordinator answers; COORDINATOR_UNAVAILABLE when it closes first; TIMEOUT
   */
  join({ coordinator, address }: { coordinator: Link; address: string }): Promise<number> {
    return new Promise((resolve, reject) => {
      let joined = false;
      const cancel = this.#o.clock.after(LIMITS.helloTimeoutMs, () => {
        reject(
          new ClusterError(
            "TIMEOUT",
            `${coordinator.name} did not let this node join within ${LIMITS.helloTimeoutMs} ms`,
          ),
        );
        coordinator.close("not joined in time");
      });
      coordinator.listen({
        onControl: (control) => {
          if (joined) this.#onCoordinator(coordinator, control);
          else if (control.type === "ps-joined") {
            joined = true;
            cancel();
            this.#begin(coordinator, control.node);
            resolve(control.node);
          } else if (control.type === "error") {
            reject(new ClusterError(control.code as ClusterErrorCode, control.message));
            coordinator.close("not joined");
          } else throw new ProtocolError(`expected "ps-joined", got "${control.type}"`);
        },
        onFrame: (f) => {
          throw new ProtocolError(`a PS node takes no "${f.opcode}" frame from the coordinator`);
        },
        onClose: (reason) => {
          cancel();
          reject(new ClusterError("COORDINATOR_UNAVAILABLE", `the coordinator closed the connection: ${reason}`));
          if (this.#links.get(COORDINATOR) !== coordinator) return;
          this.#links.delete(COORDINATOR);
          this.#cancelHeartbeat();
          if (!this.#stopped) this.#o.onCoordinatorLost(reason);
        },
      });
      coordinator.sendControl({ type: "ps-join", name: this.#o.name, address });
    });
  }

  stop(reason: string): void {
    this.#stopped = true;
    this.#cancelHeartbeat();
    for (const link of this.#links.values()) link.close(reason);
    this.#links.clear();
    this.#node?.dispose();
  }

  #begin(coordinator: Link, node: number): void {
    const { rows } = this.#node?.usage() ?? { rows: 0 };
    if (rows > 0) this.#o.log(`joined anew as node ${node}: ${rows} rows of the node it was are dropped`);
    this.#node?.dispose();
    const { memory, plugins, bounds } = this.#o;
    this.#node = new PsNode({ node, memory, ...(plugins ? { plugins } : {}), ...(bounds ? { bounds } : {}) });
    this.#links.set(COORDINATOR, coordinator);
    this.#heartbeat(coordinator);
  }

  /** What this node cannot do, the coordinator is told; only bytes that break the protocol end their link. */
  #onCoordinator(coordinator: Link, control: Control): void {
    if (!FROM_COORDINATOR.has(control.type)) {
      throw new ProtocolError(`a PS node takes no "${control.type}" from the coordinator`);
    }
    if (control.type === "error") this.#o.log(`the coordinator refuses (${control.code}): ${control.message}`);
    try {
      this.#node!.handleControl(COORDINATOR, control, this.#effects);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof ClusterError)) throw error;
      const code = error instanceof ClusterError ? error.code : "BAD_JOB";
      const job = "job" in control ? { job: control.job } : {};
      coordinator.sendControl({ type: "error", code, message: error.message, ...job });
    }
  }

  #carryOut(effect: PsEffect): void {
    const link = this.#links.get(effect.link);
    try {
      if (effect.kind === "control") link?.sendControl(effect.control);
      else if (link) link.sendFrame(effect.frame, effect.onSent);
      else effect.onSent?.();
    } catch (error) {
      if (effect.kind === "frame") effect.onSent?.(); // it was refused before it was sent
      // An answer that cannot be sent costs its receiver the link, so that it does not wait for it.
      const message = error instanceof Error ? error.message : String(error);
      this.#o.log(`cannot answer ${link!.name}: ${message}`);
      link!.close(message);
    }
  }

  #heartbeat(coordinator: Link): void {
    const { bytesMax, cold } = this.#o.memory;
    const disk = cold ? { diskRows: cold.rows } : {};
    coordinator.sendControl({ type: "heartbeat", ...this.#node!.usage(), bytesMax, ...disk });
    this.#cancelHeartbeat = this.#o.clock.after(LIMITS.heartbeatEveryMs, () => this.#heartbeat(coordinator));
  }
}
