/** The partition map in force, as a client gets it, and what differs between two of them. */
import type { PartitionMap } from "@volary/core/partition";
import { wsDialer } from "@volary/ps-server";

/** @throws {Error} the coordinator did not answer with a map */
export async function partitionMapOf(coordinator: string): Promise<PartitionMap> {
  const link = await wsDialer().dial(coordinator, { role: "client", name: "bench-map" });
  try {
    return await new Promise<PartitionMap>((resolve, reject) => {
      link.listen({
        onControl: (control) => {
          if (control.type === "map") resolve(control.map);
          else if (control.type === "error") reject(new Error(`${control.code}: ${control.message}`));
        },
        onFrame: () => {},
        onClose: (reason) => reject(new Error(`the coordinator is gone: ${reason}`)),
      });
      link.sendControl({ type: "map-request" });
    });
  } finally {
    link.close("the bench has its map");
  }
}

/** The names along each chain, head first. */
export function chainNames({ nodes, entries }: PartitionMap): string[][] {
  const names = new Map(nodes.map(({ node, name }) => [node, name]));
  return entries.map(({ chain }) => chain.map((node) => names.get(node)!));
}
