/**
 * The PS nodes of a cluster: their links, what they say of themselves, and those of an earlier coordinator that are
 * waited for. Which partitions they hold is decided in chains.ts.
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { PsNode } from "@volary/core/partition";
import type { ClusterStatus, ControlOf } from "@volary/core/wire";
import type { Effects, LinkId } from "./effects.ts";

export interface PsMember extends PsNode {
  readonly link: LinkId;
  heardAt: number;
  rows: number;
  bytes: number;
  bytesMax?: number | undefined;
  diskRows?: number | undefined;
}

type Joining = Pick<ControlOf<"ps-join">, "name" | "address">;

export class PsMembers {
  readonly #effects: Effects;
  readonly #nodes = new Map<LinkId, PsMember>();
  /** Nodes that an earlier coordinator had, and which may come back with their rows, by number. */
  readonly #awaited: Map<number, PsNode>;
  /** When they are given up; unknown before the clock is. */
  #awaitedUntil: number | undefined;

  constructor({ effects, awaited }: { effects: Effects; awaited: readonly PsNode[] }) {
    this.#effects = effects;
    this.#awaited = new Map(awaited.map((node) => [node.node, node]));
  }

  get all(): Iterable<PsMember> {
    return this.#nodes.values();
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(link: LinkId): PsMember | undefined {
    return this.#nodes.get(link);
  }

  /** The link of the node with this number, while there is one. */
  linkOf(node: number): LinkId | undefined {
    for (const member of this.#nodes.values()) if (member.node === node) return member.link;
    return undefined;
  }

  /** @throws {ClusterError} NOT_A_MEMBER */
  memberOf(link: LinkId): PsMember {
    const node = this.#nodes.get(link);
    if (node) return node;
    throw new ClusterError("NOT_A_MEMBER", "only a PS node that has joined may say this");
  }

  /** @throws {ClusterError} NOT_A_MEMBER, with the names there are */
  named(name: string): PsMember {
    const node = [...this.#nodes.values()].find((each) => each.name === name);
    if (node) return node;
    const names = Array.from(this.#nodes.values(), (each) => each.name);
    throw new ClusterError(
      "NOT_A_MEMBER",
      `this cluster has no PS node "${name}"; ${names.length > 0 ? `its PS nodes are ${names.join(", ")}` : "it has none at all"}`,
    );
  }

  /** A node that has this name already. @throws {ClusterError} NAME_TAKEN: it lives at another address */
  namesake({ name, address }: Joining): PsMember | PsNode | undefined {
    const namesake = [...this.#nodes.values(), ...this.#awaited.values()].find((node) => node.name === name);
    if (namesake && namesake.address !== address) {
      throw new ClusterError(
        "NAME_TAKEN",
        `a PS node named "${name}" is in the cluster already, at ${namesake.address}; give this one another --name`,
      );
    }
    return namesake;
  }

  /** @throws {ClusterError} LIMIT_EXCEEDED */
  checkRoom(): void {
    if (this.#nodes.size + this.#awaited.size < LIMITS.psNodesMax) return;
    throw new ClusterError("LIMIT_EXCEEDED", `this cluster has ${LIMITS.psNodesMax} PS nodes already`);
  }

  /** A node without rows. */
  join(link: LinkId, { name, address }: Joining, now: number): PsMember {
    const node = this.#effects.newId("node");
    this.#effects.log(`PS node ${node} (${name}) joined at ${address}`);
    return this.#add(link, { node, name, address }, now);
  }

  /** A node that kept its rows while its coordinator was away; it keeps its number. */
  rejoin(link: LinkId, { node, name, address }: PsNode, now: number): PsMember {
    this.#awaited.delete(node);
    this.#effects.log(`PS node ${node} (${name}) is back, with its rows`);
    return this.#add(link, { node, name, address }, now);
  }

  remove({ node, link }: PsNode & { link?: LinkId }): void {
    this.#awaited.delete(node);
    if (link !== undefined) this.#nodes.delete(link);
  }

  /** Nodes that were waited for long enough. */
  overdue(now: number): PsNode[] {
    this.#awaitedUntil ??= now + LIMITS.rejoinMs;
    return now < this.#awaitedUntil ? [] : [...this.#awaited.values()];
  }

  onHeartbeat(node: PsMember, { rows, bytes, bytesMax, diskRows }: ControlOf<"heartbeat">): void {
    node.rows = rows ?? node.rows;
    node.bytes = bytes ?? node.bytes;
    node.bytesMax = bytesMax ?? node.bytesMax;
    node.diskRows = diskRows ?? node.diskRows;
  }

  status(): Omit<ClusterStatus["nodes"][number], "partitions" | "replicas">[] {
    const awaited = Array.from(this.#awaited.values(), (node) => ({ ...node, alive: false, rows: 0, bytes: 0 }));
    const here = Array.from(this.#nodes.values(), ({ node, name, address, rows, bytes, bytesMax, diskRows }) => ({
      node,
      name,
      address,
      alive: true,
      rows,
      bytes,
      ...(bytesMax === undefined ? {} : { bytesMax }),
      ...(diskRows === undefined ? {} : { diskRows }),
    }));
    return [...here, ...awaited];
  }

  #add(link: LinkId, node: PsNode, now: number): PsMember {
    const member = { ...node, link, heardAt: now, rows: 0, bytes: 0 };
    this.#nodes.set(link, member);
    this.#effects.send(link, { type: "ps-joined", node: node.node });
    return member;
  }
}
