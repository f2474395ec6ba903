/**
 * Tells the coordinator when the nodes that are to be in a chain have all there is, and when a chain whose order is to
 * change has come to rest. Told again while nothing becomes of it.
 */
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import type { Control } from "@volary/core/wire";
import type { Replication } from "./replication.ts";
import { extendedChain } from "./replica.ts";

/** One partition that this node watches. */
interface Watched {
  readonly partition: number;
  readonly generation: number;
  readonly next: number[];
  readonly isHeld: boolean;
  toldMs: number | undefined;
}

export class Reporter {
  readonly #node: number;
  readonly #tell: (control: Control) => void;
  #watched: Watched[] = [];

  constructor(o: { node: number; tell: (control: Control) => void }) {
    this.#node = o.node;
    this.#tell = o.tell;
  }

  adopt(map: PartitionMap): void {
    const before = new Map(this.#watched.map((each) => [each.partition, each]));
    this.#watched = map.entries.flatMap((entry, partition): Watched[] => {
      const { generation, chain, next, held } = entry;
      if (!next) return [];
      // The last but one tells that the last one has all; the tail where none is missing; the head that it is at rest.
      const extended = extendedChain(entry);
      const teller = held ? chain[0] : extended.length > chain.length ? extended.at(-2) : chain.at(-1);
      if (teller !== this.#node) return [];
      const old = before.get(partition);
      const isSame =
        old?.generation === generation && old.next.join() === next.join() && old.isHeld === (held ?? false);
      return [isSame ? old : { partition, generation, next, isHeld: held ?? false, toldMs: undefined }];
    });
  }

  /** Does a chain that is held wait for its nodes to have the same? Its clients wait, too. */
  get isUrgent(): boolean {
    return this.#watched.some(({ isHeld, toldMs }) => isHeld && toldMs === undefined);
  }

  report(replications: readonly Replication[], nowMs: number): void {
    for (const watched of this.#watched) {
      const { partition, generation, next, isHeld, toldMs } = watched;
      if (toldMs !== undefined && nowMs - toldMs < LIMITS.chainReportMs) continue;
      const isTrue = replications.every((each) => (isHeld ? each.isQuiet(partition) : each.isReady(partition)));
      if (!isTrue) continue;
      watched.toldMs = nowMs;
      if (isHeld) this.#tell({ type: "chain-quiet", partition, generation });
      else this.#tell({ type: "chain-ready", partition, generation, next });
    }
  }
}
