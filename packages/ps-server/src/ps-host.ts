/**
 * Connects the pure {@link PsNode} to links and a clock, whichever they are: real ones in `node/ps-server.ts`,
 * simulated ones in tests and in the whole-cluster simulation.
 *
 * What happens when a peer dies here: a lost worker's pulls are forgotten; another PS node is dialed until the
 * coordinator says that it is gone; without a coordinator the node serves on. A coordinator that is joined anew and
 * does not know its number any more counts its rows as lost, so they are dropped.
 */
import { ClusterError, ProtocolError, type ClusterErrorCode } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Plugins } from "@volary/core/plugin";
import type { Sabotages } from "@volary/core/sabotage";
import type { TableMemory } from "@volary/core/table";
import type { Clock, Control, ControlOf, ControlType, Dialer, Link } from "@volary/core/wire";
import { COORDINATOR, type LinkId, type PsBounds, type PsEffect, type PsEffects } from "./effects.ts";
import { PeerNodes } from "./peer-nodes.ts";
import { PsNode } from "./ps-node.ts";

export interface PsHostOptions {
  name: string;
  clock: Clock;
  /** To other PS nodes. */
  dialer: Dialer;
  log: (message: string) => void;
  /** Of rows and of frames in passing. */
  memory: TableMemory;
  bounds?: PsBounds;
  /** Server updates that its operator loaded; none by default. */
  plugins?: Plugins | undefined;
  sabotages?: Sabotages;
  /** Calls back once all is handled that was read at once; by default at once. */
  afterRead?: (run: () => void) => void;
  /** The node serves on; its owner may dial again and `join`. */
  onCoordinatorLost: (reason: string) => void;
}

/** Who may say what: an open port must not let a worker play the coordinator. */
const FROM_COORDINATOR: ReadonlySet<ControlType> = new Set<ControlType>([
  "map",
  "open-job",
  "close-job",
  "fence",
  "start",
  "close",
  "commit",
  "heartbeat",
  "error",
]);
const FROM_CLIENTS: ReadonlySet<ControlType> = new Set<ControlType>([
  "fence",
  "start",
  "commit",
  "map-request",
  "heartbeat",
  "error",
]);

export class PsHost {
  readonly #o: PsHostOptions;
  readonly #links = new Map<LinkId, Link>();
  #nextLink = COORDINATOR + 1;
  readonly #peers: PeerNodes;
  #node: PsNode | undefined;
  #cancelHeartbeat: () => void = () => {};
  #cancelTick: () => void = () => {};
  #stopped = false;
  readonly #effects: PsEffects = { push: (effect) => this.#carryOut(effect) };

  constructor(o: PsHostOptions) {
    this.#o = o;
    this.#peers = new PeerNodes({
      name: o.name,
      clock: o.clock,
      dialer: o.dialer,
      onFrame: (node, f) => this.#node?.handleDownstream(node, f, this.#effects),
      onUp: (node) => this.#node?.handleUp(node, this.#effects),
      onDown: (node) => this.#node?.handleDown(node),
    });
    this.#tick();
  }

  /** Undefined before the first join. */
  get node(): PsNode | undefined {
    return this.#node;
  }

  /** Why a peer that says hello is turned away, if it is. */
  refuse({ role }: ControlOf<"hello">): { code: ClusterErrorCode; message: string } | undefined {
    const { name } = this.#o;
    if (role !== "worker" && role !== "client" && role !== "ps") {
      return {
        code: "PROTOCOL_VIOLATION",
        message: `PS node ${name} serves workers, clients and PS nodes, not a ${role}`,
      };
    }
    if (!this.#node)
      return { code: "PARTITION_UNAVAILABLE", message: `PS node ${name} has not joined its cluster yet` };
    return undefined;
  }

  /** A worker, a client, or a PS node that is before this one in a chain. */
  accept(link: Link, { role }: Pick<ControlOf<"hello">, "role">): void {
    if (this.#stopped) {
      link.close("the PS node stops");
      return;
    }
    const id = this.#nextLink++;
    this.#links.set(id, link);
    link.listen({
      onControl: (control) => {
        if (!FROM_CLIENTS.has(control.type))
          throw new ProtocolError(`a PS node takes no "${control.type}" from a ${role}`);
        this.#node!.handleControl(id, control, this.#effects);
      },
      onFrame: (f) => {
        if (role === "ps") this.#node!.handleUpstream(id, f, this.#effects);
        else this.#node!.handleFrame(id, f, this.#effects);
      },
      onClose: () => {
        this.#links.delete(id);
        this.#node!.handleClose(id);
      },
    });
  }

  /**
   * Joins the cluster of a coordinator: with no rows, or with those it has, if the coordinator knows its number.
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
      const number = this.#node ? { node: this.#node.node } : {};
      coordinator.sendControl({ type: "ps-join", name: this.#o.name, address, ...number });
    });
  }

  stop(reason: string): void {
    this.#stopped = true;
    this.#cancelHeartbeat();
    this.#cancelTick();
    this.#peers.close(reason);
    for (const link of this.#links.values()) link.close(reason);
    this.#links.clear();
    this.#node?.dispose();
  }

  #begin(coordinator: Link, node: number): void {
    this.#links.set(COORDINATOR, coordinator);
    if (this.#node?.node === node) {
      this.#heartbeat(coordinator);
      return;
    }
    const { rows } = this.#node?.usage() ?? { rows: 0 };
    if (rows > 0) this.#o.log(`joined anew as node ${node}: ${rows} rows of the node it was are dropped`);
    this.#node?.dispose();
    const { memory, plugins, bounds, sabotages, afterRead } = this.#o;
    const given = {
      ...(plugins ? { plugins } : {}),
      ...(bounds ? { bounds } : {}),
      ...(sabotages ? { sabotages } : {}),
      ...(afterRead ? { afterRead } : {}),
    };
    this.#node = new PsNode({ node, memory, ...given });
    this.#peers.begin(node);
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
      if (control.type === "map" || control.type === "open-job") this.#dialFollowers();
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof ClusterError)) throw error;
      const code = error instanceof ClusterError ? error.code : "BAD_JOB";
      const job = "job" in control ? { job: control.job } : {};
      coordinator.sendControl({ type: "error", code, message: error.message, ...job });
    }
  }

  #dialFollowers(): void {
    const { map } = this.#node!;
    if (map) this.#peers.adopt(map, this.#node!.followers());
  }

  #carryOut(effect: PsEffect): void {
    if (effect.kind === "peer") {
      this.#peers.send(effect.node, effect.frame);
      return;
    }
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
    const load = this.#node!.takeLoad();
    const loaded = load.partitions.length > 0 ? { load } : {};
    coordinator.sendControl({ type: "heartbeat", ...this.#node!.usage(), bytesMax, ...disk, ...loaded });
    this.#cancelHeartbeat = this.#o.clock.after(LIMITS.heartbeatEveryMs, () => this.#heartbeat(coordinator));
  }

  #tick(): void {
    this.#cancelTick = this.#o.clock.after(LIMITS.psTickMs, () => {
      this.#node?.tick(this.#o.clock.now(), this.#effects);
      this.#tick();
    });
  }
}
