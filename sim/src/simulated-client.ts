/** A client process of the simulation: its link to the coordinator, and the tables of one job. */
import { NodeLinks, Requests, TableClient } from "@volary/core/client";
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import type { PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import type { SeededRandom, SimulatedHost } from "@volary/core/testing";
import type { Control, ControlOf, Link } from "@volary/core/wire";

export interface OpenedJob {
  job: number;
  map: PartitionMap;
}

export interface SimulatedClientOptions {
  name: string;
  host: SimulatedHost;
  random: SeededRandom;
  coordinator: string;
  sabotages: Sabotages;
}

export class SimulatedClient {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly #o: SimulatedClientOptions;
  readonly #nodes: NodeLinks[] = [];
  #coordinator: CoordinatorLink | undefined;
  #tellCrashed: () => void = () => {};
  /** Resolves once its process has ended: what it had under way is never answered. */
  readonly crashed = new Promise<void>((resolve) => (this.#tellCrashed = resolve));
  /** The newest that the coordinator told. */
  #map: PartitionMap | undefined;

  constructor(o: SimulatedClientOptions) {
    this.#o = o;
    this.name = o.name;
    this.host = o.host;
  }

  /** kill −9. */
  crash(): void {
    this.host.crash();
    this.#tellCrashed();
  }

  /** The newest link to the coordinator, or a new one. */
  async coordinator(): Promise<CoordinatorLink> {
    if (this.#coordinator?.closed === undefined && this.#coordinator) return this.#coordinator;
    const { host, coordinator, name } = this.#o;
    const link = await host.dialer.dial(coordinator, { role: "client", name });
    this.#coordinator = new CoordinatorLink(link, (map) => {
      this.#map = map;
      for (const nodes of this.#nodes) nodes.adopt(map);
    });
    return this.#coordinator;
  }

  /** Opens the tables of a job; again, where the coordinator ends meanwhile. */
  async submit(manifest: JobManifest): Promise<OpenedJob> {
    for (;;) {
      const coordinator = await this.#reachable();
      try {
        coordinator.send({ type: "submit", manifest });
        const { job, map } = await coordinator.next("submitted");
        return { job, map };
      } catch (error) {
        const passes = error instanceof ClusterError && error.retryable;
        if (coordinator.closed === undefined && !passes) throw error;
      }
      await this.#pause();
    }
  }

  /** The coordinator, as soon as it is there. */
  async #reachable(): Promise<CoordinatorLink> {
    for (;;) {
      try {
        return await this.coordinator();
      } catch (error) {
        if (!(error instanceof ClusterError && error.retryable)) throw error;
      }
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.host.clock.after(200, resolve));
  }

  /** @throws {ClusterError} the coordinator refuses, or ends */
  async drain(node: string): Promise<void> {
    const coordinator = await this.#reachable();
    coordinator.send({ type: "drain", node });
    await coordinator.next("draining");
  }

  /**
   * Invites volunteers to a job.
   *
   * @returns a token for each
   * @throws {ClusterError} the coordinator refuses, or ends
   */
  async invite(job: number, uses: number): Promise<string[]> {
    const coordinator = await this.#reachable();
    const how = { role: "volunteer", validMs: 3_600_000, trusted: false, by: "the simulation", about: "" } as const;
    coordinator.send({ type: "invite", job, uses, ...how });
    return (await coordinator.next("invited")).tokens;
  }

  /** Does a PS node hold no partition, as far as the coordinator says? */
  async isEmpty(name: string): Promise<boolean> {
    const coordinator = await this.#reachable();
    try {
      coordinator.send({ type: "status-request" });
      const { status } = await coordinator.next("status");
      const node = status.nodes.find((each) => each.name === name);
      return node !== undefined && node.draining === true && node.partitions + node.replicas === 0;
    } catch {
      return false;
    }
  }

  /** Asks the coordinator for its map, over a new link where there is none: all nodes that it knew may have left. */
  async catchUp(): Promise<void> {
    (await this.#reachable()).send({ type: "map-request" });
  }

  /** Opens links to the PS nodes for a job that this client, or another one, has submitted. */
  async tables({ job, map }: OpenedJob): Promise<TableClient> {
    const { host, name, random, sabotages } = this.#o;
    const requests = new Requests();
    const nodes = new NodeLinks({
      map,
      hello: { role: "client", name, job },
      dialer: host.dialer,
      clock: host.clock,
    });
    this.#nodes.push(nodes);
    if (this.#map) nodes.adopt(this.#map); // it may have come since
    const coordinator = await this.#reachable();
    coordinator.send({ type: "watch", job }); // and with it, newer maps
    coordinator.send({ type: "map-request" });
    nodes.listen({
      onControl: (_, control) => void (control.type === "error" && requests.takeError(control)),
      onFrame: (_, f) => void requests.takeFrame(f),
      onDown: (_, link, reason) => requests.failLink(link, reason),
      onUp: () => {},
    });
    await nodes.open();
    return new TableClient({ job, links: nodes, requests, clock: host.clock, random: () => random.next(), sabotages });
  }
}

type Answer = "submitted" | "invited" | "job-status" | "commits" | "status" | "draining";

/** Control messages in order, to be awaited by type. */
export class CoordinatorLink {
  readonly #link: Link;
  readonly #all: Control[] = [];
  #waiting: (() => void)[] = [];
  #closed: string | undefined;

  constructor(link: Link, onMap: (map: PartitionMap) => void) {
    this.#link = link;
    link.listen({
      onControl: (control) => {
        if (control.type === "map") onMap(control.map);
        else this.#all.push(control);
        this.#wakeAll();
      },
      onFrame: () => {},
      onClose: (reason) => {
        this.#closed = reason;
        this.#wakeAll();
      },
    });
  }

  /** Why it closed, if it did. */
  get closed(): string | undefined {
    return this.#closed;
  }

  send(control: Control): void {
    this.#link.sendControl(control);
  }

  /** @throws {ClusterError} an error of the coordinator's, or the link has closed */
  async next<T extends Answer>(type: T): Promise<ControlOf<T>> {
    for (;;) {
      const at = this.#all.findIndex((control) => control.type === type || control.type === "error");
      const control = at < 0 ? undefined : this.#all.splice(at, 1)[0]!;
      if (control?.type === "error") throw new ClusterError(control.code as ClusterErrorCode, control.message);
      if (control) return control as ControlOf<T>;
      if (this.#closed !== undefined) throw new ClusterError("COORDINATOR_UNAVAILABLE", this.#closed);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wakeAll(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
