/** For tests: links of one partition map that never changes. */
import type { TableLinks } from "@volary/core/client";
import type { PartitionMap } from "@volary/core/partition";
import type { Link } from "@volary/core/wire";

export function fixedLinks({ map, link }: { map: PartitionMap; link: (node: number) => Link }): TableLinks {
  return { map, onMap: () => () => {}, requestMap() {}, get: link, up: async (node) => link(node) };
}
