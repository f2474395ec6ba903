import { storeContract } from "./store.contract.ts";
import { memoryStore } from "./store.ts";

storeContract("memoryStore()", {
  durability: "in memory",
  start: async () => ({ open: async () => memoryStore(), cleanUp: async () => {} }),
});
