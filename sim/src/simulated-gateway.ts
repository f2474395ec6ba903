/**
 * One gateway process of the simulation. What a page asks it over HTTP is asked here without a network, and not answered
 * once the process is gone.
 */
import type { SeededRandom, SimulatedHost } from "@volary/core/testing";
import { GatewayHost, type Entrance, type Entry, type Refusal, type VolunteerKeys } from "@volary/ps-server";

export interface SimulatedGatewayOptions {
  host: SimulatedHost;
  random: SeededRandom;
  coordinator: string;
  log: (message: string) => void;
}

/** One that comes back has the address of the one before. */
const PORT = 5000;

export class SimulatedGateway {
  readonly address: string;
  readonly #host: SimulatedHost;
  readonly #gateway: GatewayHost;

  constructor({ host, random, coordinator, log }: SimulatedGatewayOptions) {
    const { name, dialer, clock } = host;
    this.#host = host;
    const gateway = new GatewayHost({
      name,
      url: () => "https://volunteers.example",
      coordinator,
      dialer,
      clock,
      random: () => random.next(),
      log: (message) => log(`${name}: ${message}`),
    });
    this.#gateway = gateway;
    this.address = host.listen({
      name,
      port: PORT,
      refuse: (hello) => gateway.refuse(hello),
      onLink: (link, hello) => gateway.accept(link, hello),
    }).address;
    gateway.join().catch((error: unknown) => log(`${name} cannot join: ${String(error)}`));
  }

  crash(): void {
    this.#host.crash();
  }

  /** @param from the process that asks, which hears the answer as long as it is there */
  enter(from: SimulatedHost, entrance: Entrance): Promise<Entry | Refusal> {
    return new Promise((resolve) => {
      const answer = (of: Entry | Refusal) => from.whenRunning(() => (from.alive ? resolve(of) : undefined));
      this.#host.whenRunning(() => void (this.#host.alive && this.#gateway.enter(entrance).then(answer)));
    });
  }
}

/** Secrets that nobody has to guess, and signatures that nobody checks. */
export function simulatedKeys(random: SeededRandom): VolunteerKeys {
  const words = () => Array.from({ length: 4 }, () => random.below(2 ** 31).toString(16)).join("-");
  return {
    secret: () => words().padEnd(16, "-"),
    sign: (text) => ({ text, signature: "s".repeat(86), publicKey: "k".repeat(43) }),
    keyId: "the simulation's",
  };
}
