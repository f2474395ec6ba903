/** The PS nodes of a cluster and the partition map that places every partition on one of them. */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import {
  firstPartitionMap,
  nextPartitionMap,
  partitionMapSchema,
  type PartitionFunction,
  type PartitionMap,
} from "@volary/core/partition";
import type { ClusterStatus, ControlOf } from "@volary/core/wire";
import type { Effects, LinkId } from "./effects.ts";

export interface PsMember {
  readonly node: number;
  readonly name: string;
  readonly address: string;
  readonly link: LinkId;
  heardAt: number;
  rows: number;
  bytes: number;
  bytesMax?: number | undefined;
  diskRows?: number | undefined;
}

export class PsMembers {
  readonly #effects: Effects;
  readonly #partitionsLog2: number;
  readonly #partitionFunction: PartitionFunction;
  readonly #nodes = new Map<LinkId, PsMember>();
  #map: PartitionMap | undefined;

  /** @param o.saved the map that an earlier coordinator saved, if any */
  constructor(o: { effects: Effects; partitionsLog2: number; partitionFunction: PartitionFunction; saved: unknown }) {
    this.#effects = o.effects;
    this.#partitionsLog2 = o.partitionsLog2;
    this.#partitionFunction = o.partitionFunction;
    if (o.saved === undefined) return;
    const parsed = partitionMapSchema.safeParse(o.saved);
    if (!parsed.success)
      throw new Error(
        `the saved partition map cannot be read: ${parsed.error.issues[0]!.message}; begin with an empty store`,
      );
    this.#map = parsed.data;
  }

  get map(): PartitionMap | undefined {
    return this.#map;
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

  /** A member that has this name already. @throws {ClusterError} NAME_TAKEN: it lives at another address */
  namesake({ name, address }: Pick<ControlOf<"ps-join">, "name" | "address">): PsMember | undefined {
    const namesake = [...this.#nodes.values()].find((node) => node.name === name);
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
    if (this.#nodes.size < LIMITS.psNodesMax) return;
    throw new ClusterError("LIMIT_EXCEEDED", `this cluster has ${LIMITS.psNodesMax} PS nodes already`);
  }

  join(link: LinkId, { name, address }: Pick<ControlOf<"ps-join">, "name" | "address">, now: number): void {
    const node = this.#effects.newId("node");
    this.#nodes.set(link, { node, name, address, link, heardAt: now, rows: 0, bytes: 0 });
    this.#effects.log(`PS node ${node} (${name}) joined at ${address}`);
    this.#effects.send(link, { type: "ps-joined", node });
  }

  remove(link: LinkId): void {
    this.#nodes.delete(link);
  }

  onHeartbeat(link: LinkId, { rows, bytes, bytesMax, diskRows }: ControlOf<"heartbeat">): void {
    const node = this.#nodes.get(link);
    if (!node) return;
    node.rows = rows ?? node.rows;
    node.bytes = bytes ?? node.bytes;
    node.bytesMax = bytesMax ?? node.bytesMax;
    node.diskRows = diskRows ?? node.diskRows;
  }

  /** Places all partitions anew and tells every node. */
  place(): void {
    if (this.#nodes.size === 0) return;
    const nodes = [...this.#nodes.values()].map(({ node, name, address }) => ({ node, name, address }));
    const version = this.#effects.newId("map");
    const map = this.#map
      ? nextPartitionMap(this.#map, { nodes })
      : firstPartitionMap({ partitions: 2 ** this.#partitionsLog2, function: this.#partitionFunction, nodes });
    this.#map = { ...map, version };
    this.#effects.save("map", this.#map);
    for (const { link } of this.#nodes.values()) this.#effects.send(link, { type: "map", map: this.#map });
  }

  status(): ClusterStatus["nodes"] {
    const owned = new Map<number, number>();
    for (const entry of this.#map?.entries ?? []) owned.set(entry.chain[0]!, (owned.get(entry.chain[0]!) ?? 0) + 1);
    return [...this.#nodes.values()].map(({ node, name, address, rows, bytes, bytesMax, diskRows }) => ({
      node,
      name,
      address,
      alive: true,
      partitions: owned.get(node) ?? 0,
      rows,
      bytes,
      ...(bytesMax === undefined ? {} : { bytesMax }),
      ...(diskRows === undefined ? {} : { diskRows }),
    }));
  }
}
