export { lend, lendingLink } from "./borrowed-frames.ts";
export { delayedLink, type Delays } from "./delayed-link.ts";
export type { HostClockOptions } from "./host-clock.ts";
export { seededRandom, type SeededRandom } from "./seeded-random.ts";
export { SimulatedClock, type SimulatedClockOptions } from "./simulated-clock.ts";
export {
  SimulatedHost,
  SimulatedNetwork,
  type Between,
  type Hold,
  type ListenOptions,
  type SimulatedListener,
  type SimulatedNetworkOptions,
} from "./simulated-network.ts";
