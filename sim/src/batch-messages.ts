/**
 * What the coordinator was told, and what it said, of a job whose batches it gives out: the record that the checks of
 * such jobs go by. It is made of messages alone, and of nothing that the coordinator counts.
 */
import type { Control, ControlOf } from "@volary/core/wire";
import type { Coordinator } from "@volary/ps-server";

const HEARD = ["batch-done", "promise", "committed"] as const;
const SAID = ["term", "batch", "close", "commit-round", "evaluate"] as const;

/** One message, in the order that the coordinator took and gave them. */
export interface BatchMessage {
  /** Who sent it or was sent it; 0 where that is no worker. */
  readonly worker: number;
  readonly control: ControlOf<(typeof HEARD)[number] | (typeof SAID)[number]>;
}

export class BatchMessages {
  /** Of all jobs. */
  readonly all: BatchMessage[] = [];
  /** The worker of each link. */
  readonly #workers = new Map<number, number>();

  of(job: number): BatchMessage[] {
    return this.all.filter(({ control }) => control.job === job);
  }

  /** The same coordinator, overheard. */
  overhear(machine: Coordinator): Pick<Coordinator, "handleControl" | "handleClose" | "tick"> {
    const said = (effects: ReturnType<Coordinator["tick"]>) => {
      for (const effect of effects) if (effect.kind === "control") this.#say(effect.link, effect.control);
      return effects;
    };
    return {
      handleControl: (link, control, now) => {
        if (isOneOf(control, HEARD)) this.#add(link, control);
        return said(machine.handleControl(link, control, now));
      },
      handleClose: (link, now) => said(machine.handleClose(link, now)),
      tick: (now) => said(machine.tick(now)),
    };
  }

  #say(link: number, control: Control): void {
    if (control.type === "worker-joined") this.#workers.set(link, control.worker);
    if (isOneOf(control, SAID)) this.#add(link, control);
  }

  #add(link: number, control: BatchMessage["control"]): void {
    this.all.push({ worker: this.#workers.get(link) ?? 0, control });
  }
}

function isOneOf<T extends Control["type"]>(control: Control, types: readonly T[]): control is ControlOf<T> & Control {
  return (types as readonly string[]).includes(control.type);
}
