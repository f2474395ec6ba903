/** What a call of the coordinator asks its host to do, gathered in order. */
import type { Control } from "@volary/core/wire";

export type LinkId = number;

export type CoordinatorEffect =
  | { kind: "control"; link: LinkId; control: Control }
  | { kind: "close"; link: LinkId; reason: string }
  /** Must be durable before any later effect of the same call is carried out. */
  | { kind: "save"; key: string; value: unknown }
  | { kind: "log"; message: string };

/** The newest number of each sort; none is used again, also after a restart. */
interface Ids {
  node: number;
  worker: number;
  job: number;
  volunteer: number;
}

export class Effects {
  #ids: Ids = { node: 0, worker: 0, job: 0, volunteer: 0 };
  #out: CoordinatorEffect[] = [];

  /** @param records what an earlier coordinator saved, by key */
  constructor(records: ReadonlyMap<string, unknown>) {
    const ids = records.get("ids") as Partial<Ids> | undefined;
    this.#ids = { ...this.#ids, ...ids };
  }

  send(link: LinkId, control: Control): void {
    this.#out.push({ kind: "control", link, control });
  }

  close(link: LinkId, reason: string): void {
    this.#out.push({ kind: "close", link, reason });
  }

  save(key: string, value: unknown): void {
    this.#out.push({ kind: "save", key, value });
  }

  log(message: string): void {
    this.#out.push({ kind: "log", message });
  }

  /** A number that was never given before, saved before anyone hears of it. */
  newId(kind: keyof Ids): number {
    const id = ++this.#ids[kind];
    this.save("ids", { ...this.#ids });
    return id;
  }

  /** Everything so far; what follows is the next call's. */
  take(): CoordinatorEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
