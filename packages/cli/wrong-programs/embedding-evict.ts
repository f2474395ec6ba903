// expect: has no properties in common with type 'EvictionOptions'
import { embedding, leastRecent } from "@volary/core";

export const users = embedding({
  table: "user",
  dim: 8,
  evict: leastRecent(1e6), // wrong
});
