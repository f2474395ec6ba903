/**
 * Connects the pure {@link Coordinator} to links, a store and a clock, whichever they are: real ones in
 * `node/coordinator-server.ts`, simulated ones in tests and in the whole-cluster simulation.
 *
 * Effects are carried out in order, and what must be durable is durable before anything after it is. While the
 * store fails (a full disk), later effects wait and the save is tried again: nothing is promised that was not kept.
 */
import { ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Clock, ControlOf, Link } from "@volary/core/wire";
import type { Coordinator } from "./coordinator.ts";
import type { CoordinatorEffect, LinkId } from "./effects.ts";
import type { CoordinatorStore } from "./store.ts";

export interface CoordinatorHostOptions {
  coordinator: Pick<Coordinator, "handleControl" | "handleClose" | "tick">;
  store: CoordinatorStore;
  clock: Clock;
  log: (message: string) => void;
}

export class CoordinatorHost {
  /** Resolves with the reason when this coordinator cannot go on; then it should be stopped. */
  readonly failed: Promise<string>;
  readonly #o: CoordinatorHostOptions;
  readonly #links = new Map<LinkId, Link>();
  #nextLink = 1;
  /** In order; those before `#next` have been carried out. */
  #effects: CoordinatorEffect[] = [];
  #next = 0;
  #carryingOut = false;
  /** Resolves once no effect is left. */
  #carriedOut: Promise<void> = Promise.resolve();
  #fail: (reason: string) => void = () => {};
  #cancelTick: () => void = () => {};
  #stopped = false;

  constructor(o: CoordinatorHostOptions) {
    this.#o = o;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#tickAfter(o.clock.now());
  }

  /** Why a peer that says hello is turned away, if it is. */
  refuse({ role }: ControlOf<"hello">): { code: "PROTOCOL_VIOLATION"; message: string } | undefined {
    if (role === "worker" || role === "ps" || role === "client" || role === "gateway") return undefined;
    return { code: "PROTOCOL_VIOLATION", message: `this is a coordinator; a ${role} has no business with it` };
  }

  accept(link: Link): void {
    if (this.#stopped) {
      link.close("the coordinator stops");
      return;
    }
    const { coordinator, clock } = this.#o;
    const id = this.#nextLink++;
    this.#links.set(id, link);
    link.listen({
      onControl: (control) => this.#add(coordinator.handleControl(id, control, clock.now())),
      onFrame: (f) => {
        throw new ProtocolError(`the coordinator takes no "${f.opcode}" frame`);
      },
      onClose: () => {
        this.#links.delete(id);
        if (!this.#stopped) this.#add(coordinator.handleClose(id, clock.now()));
      },
    });
  }

  /** Closes every link; resolves once what is under way is saved, or cannot be. */
  async stop(reason: string): Promise<void> {
    this.#stopped = true;
    this.#cancelTick();
    for (const link of this.#links.values()) link.close(reason);
    this.#links.clear();
    await this.#carriedOut;
  }

  #add(effects: CoordinatorEffect[]): void {
    for (const effect of effects) this.#effects.push(effect);
    const waiting = this.#effects.length - this.#next;
    if (waiting > LIMITS.effectsWaitingMax) {
      this.#fail(`the coordinator's state could not be saved for so long that ${waiting} messages wait for it`);
    }
    if (!this.#carryingOut)
      this.#carriedOut = this.#carryOutAll().catch((error: unknown) => this.#fail(messageOf(error)));
  }

  /** Runs on without a pause until it comes to a save; what is added meanwhile comes after. */
  async #carryOutAll(): Promise<void> {
    this.#carryingOut = true;
    try {
      while (this.#next < this.#effects.length) {
        const effect = this.#effects[this.#next]!;
        if (effect.kind !== "save") {
          this.#next++;
          this.#carryOut(effect);
        } else if (!(await this.#saveNext())) return;
      }
      this.#effects = [];
      this.#next = 0;
    } finally {
      this.#carryingOut = false;
    }
  }

  #carryOut(effect: Exclude<CoordinatorEffect, { kind: "save" }>): void {
    switch (effect.kind) {
      case "control":
        this.#send(effect);
        break;
      case "close":
        this.#links.get(effect.link)?.close(effect.reason);
        break;
      case "log":
        this.#o.log(effect.message);
        break;
      default:
        effect satisfies never;
    }
  }

  /** A message that cannot be sent costs its receiver the link, so that it does not wait for it. */
  #send({ link: id, control }: CoordinatorEffect & { kind: "control" }): void {
    const link = this.#links.get(id);
    try {
      link?.sendControl(control);
    } catch (error) {
      this.#o.log(`cannot send "${control.type}" to ${link!.name}: ${messageOf(error)}`);
      link!.close(messageOf(error));
    }
  }

  /** Makes the saves that come next durable, in one write, however often it must be tried; false when stopped over it. */
  async #saveNext(): Promise<boolean> {
    const records = new Map<string, unknown>();
    let to = this.#next;
    for (let effect = this.#effects[to]; effect?.kind === "save"; effect = this.#effects[++to]) {
      records.set(effect.key, effect.value);
    }
    for (let attempt = 1; !(await this.#save(records, attempt)); attempt++) {
      if (this.#stopped) {
        this.#o.log(`stopped with ${this.#effects.length - this.#next} effects that could not be saved or told`);
        return false;
      }
      await new Promise<void>((resolve) => void this.#o.clock.after(LIMITS.saveRetryMs, resolve));
    }
    this.#next = to;
    return true;
  }

  async #save(records: ReadonlyMap<string, unknown>, attempt: number): Promise<boolean> {
    const { store, log } = this.#o;
    try {
      await store.save(records);
      if (attempt > 1) log("the state is saved again; going on");
      return true;
    } catch (error) {
      const again = `nothing is lost, but all wait; trying again every ${LIMITS.saveRetryMs} ms`;
      if (attempt === 1) log(`cannot save the coordinator's state: ${messageOf(error)}; ${again}`);
      return false;
    }
  }

  /** A tick that comes late finds members silent that this process did not listen to: it is passed over. */
  #tickAfter(before: number): void {
    const { clock, coordinator } = this.#o;
    this.#cancelTick = clock.after(LIMITS.tickEveryMs, () => {
      const now = clock.now();
      if (now - before < LIMITS.psLostMs / 2) this.#add(coordinator.tick(now));
      this.#tickAfter(now);
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
