/**
 * One PS process of the simulation, as `volary ps` runs it: it joins the coordinator, serves, and dials again when its
 * coordinator is gone. Its memory is given back when it ends, and used by the next one.
 */
import type { Sabotages } from "@volary/core/sabotage";
import { lendingLink, type SeededRandom, type SimulatedHost } from "@volary/core/testing";
import { connectWithBackoff, type Dialer } from "@volary/core/wire";
import { PsHost, type PsBounds, type PsNode } from "@volary/ps-server";
import { TightMemory, type TightMemoryOptions } from "./tight-memory.ts";

export interface SimulatedPsOptions {
  name: string;
  host: SimulatedHost;
  random: SeededRandom;
  coordinator: string;
  bounds: PsBounds;
  /** Little memory for rows; as much as they like without it. */
  room: TightMemoryOptions | undefined;
  sabotages: Sabotages;
  log: (message: string) => void;
}

/** Each life of a node has its name's port, so that the next one takes its place. */
const PORT = 7000;
/** A simulated coordinator may be away for long. */
const ATTEMPTS_MAX = 1000;

/** Memories that no process uses now: each takes gigabytes of addresses. */
const IDLE: TightMemory[] = [];

export class SimulatedPs {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly #o: SimulatedPsOptions;
  readonly #memory = IDLE.pop() ?? new TightMemory();
  readonly #spilledBefore: number;
  readonly #ps: PsHost;
  #ended = false;

  constructor(o: SimulatedPsOptions) {
    this.#o = o;
    this.name = o.name;
    this.host = o.host;
    this.#memory.setRoom(o.room);
    this.#spilledBefore = this.#memory.cold!.rowsSpilled;
    const { name, host, random, bounds, sabotages, log } = o;
    this.#ps = new PsHost({
      name,
      clock: host.clock,
      dialer: host.dialer,
      log: (message) => log(`${name}: ${message}`),
      memory: this.#memory,
      bounds,
      sabotages,
      onCoordinatorLost: () => host.clock.after(random.between({ min: 50, max: 200 }), () => this.#join()),
    });
    this.#address = host.listen({
      name,
      port: PORT,
      refuse: (hello) => this.#ps.refuse(hello),
      onLink: (link, hello) => this.#ps.accept(lendingLink(link), hello),
    }).address;
    this.#join();
  }

  readonly #address: string;

  /** Undefined until it has joined. */
  get node(): PsNode | undefined {
    return this.#ps.node;
  }

  /** Rows that went to disk. */
  get spilled(): number {
    return this.#memory.cold!.rowsSpilled - this.#spilledBefore;
  }

  /** Gives the process more memory. */
  relax(): void {
    this.#memory.relax();
  }

  /** kill −9. @returns what it left behind, which is a fault */
  end(): string[] {
    if (this.#ended) return [];
    this.#ended = true;
    this.host.crash();
    this.#ps.stop("the simulated process ends");
    IDLE.push(this.#memory);
    const { rows, bytes } = this.#memory.cold!;
    return rows > 0 || bytes > 0 ? [`${rows} rows and ${bytes} bytes of ${this.name} are left on disk`] : [];
  }

  #join(): void {
    const { host, name, random, coordinator: address, log } = this.#o;
    const dialer: Dialer = {
      dial: async (to, hello) => {
        const coordinator = await host.dialer.dial(to, hello);
        await this.#ps.join({ coordinator, address: this.#address });
        return coordinator;
      },
    };
    connectWithBackoff({
      dialer,
      address,
      hello: { role: "ps", name },
      clock: host.clock,
      random: () => random.next(),
      log: () => {},
      attemptsMax: ATTEMPTS_MAX,
    }).catch((error: unknown) => {
      log(`${name} cannot join: ${error instanceof Error ? error.message : String(error)}`);
      // Its next life is let in once the coordinator has missed this one.
      host.clock.after(500, () => this.#join());
    });
  }
}
