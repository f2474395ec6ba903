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
import type { Coordinator, CoordinatorEffect, LinkId } from "./coordinator.ts";
import type { CoordinatorStore } from "./store.ts";

export interface CoordinatorHostOptions {
  coordinator: Coordinator;
  store: CoordinatorStore;
  clock: Clock;
  log(message: string): void;
}

export class CoordinatorHost {
  /** Resolves with the reason when this coordinator cannot go on; then it should be stopped. */
  readonly failed: Promise<string>;
  readonly #o: CoordinatorHostOptions;
  readonly #links = new Map<LinkId, Link>();
  #nextLink = 1;
  #effects: CoordinatorEffect[] = [];
  /** Resolves once no effect is left. */
  #carryingOut: Promise<void> | undefined;
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
    if (role === "worker" || role === "ps" || role === "client") return undefined;
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
    await this.#carryingOut;
  }

  #add(effects: CoordinatorEffect[]): void {
    for (const effect of effects) this.#effects.push(effect);
    if (this.#effects.length > LIMITS.effectsWaitingMax) {
      this.#fail(`its state could not be saved for so long that ${this.#effects.length} messages wait for it`);
    }
    this.#carryingOut ??= this.#carryOutAll().finally(() => {
      this.#carryingOut = undefined;
    });
  }

  /** Runs on without a pause until it comes to a save. */
  async #carryOutAll(): Promise<void> {
    while (this.#effects.length > 0) {
      const effects = this.#effects;
      this.#effects = [];
      for (let at = 0; at < effects.length; ) {
        const to = endOfSaves(effects, at);
        if (to > at) {
          // oxlint-disable-next-line no-await-in-loop
          if (!(await this.#save(effects.slice(at, to)))) return;
          at = to;
        } else this.#carryOut(effects[at++]!);
      }
    }
  }

  #carryOut(effect: CoordinatorEffect): void {
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
      case "save":
        throw new Error("saves are carried out together");
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

  /** Saves, however often it must be tried; false when the coordinator was stopped over it. */
  async #save(saves: readonly CoordinatorEffect[]): Promise<boolean> {
    const records = new Map(saves.flatMap((save) => (save.kind === "save" ? [[save.key, save.value]] : [])));
    for (let attempt = 1; ; attempt++) {
      try {
        // oxlint-disable-next-line no-await-in-loop
        await this.#o.store.save(records);
        if (attempt > 1) this.#o.log("the state is saved again; going on");
        return true;
      } catch (error) {
        if (attempt === 1) {
          this.#o.log(
            `cannot save the coordinator's state: ${messageOf(error)}; nothing is lost, but all wait; ` +
              `trying again every ${LIMITS.saveRetryMs} ms`,
          );
        }
        if (this.#stopped) return false;
      }
      // oxlint-disable-next-line no-await-in-loop
      await new Promise<void>((resolve) => void this.#o.clock.after(LIMITS.saveRetryMs, resolve));
    }
  }

  /** A tick that comes late finds members silent that this process did not listen to: it is passed over. */
  #tickAfter(before: number): void {
    const { clock, coordinator } = this.#o;
    this.#cancelTick = clock.after(LIMITS.tickEveryMs, () => {
      const now = clock.now();
      if (now - before < LIMITS.heartbeatLostMs / 2) this.#add(coordinator.tick(now));
      this.#tickAfter(now);
    });
  }
}

/** Where the saves that begin at `from` end. */
function endOfSaves(effects: readonly CoordinatorEffect[], from: number): number {
  let to = from;
  while (effects[to]?.kind === "save") to++;
  return to;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
