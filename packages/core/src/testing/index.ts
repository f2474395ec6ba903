export { seededRandom, type SeededRandom } from "./seeded-random.ts";
export { SimulatedClock, type SimulatedClockOptions } from "./simulated-clock.ts";
export {
  SimulatedHost,
  SimulatedNetwork,
  type Between,
  type ListenOptions,
  type SimulatedListener,
  type SimulatedNetworkOptions,
} from "./simulated-network.ts";
