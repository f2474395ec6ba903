/**
 * The volunteers of one job at one reducer: who is there, and what the coordinator is told of them.
 */
import { LIMITS } from "../../limits.ts";
import { NO_SABOTAGE, type Sabotages } from "../../sabotage.ts";
import type { Clock, Control, LeafStatus, Link } from "../../wire/index.ts";
import { GroupLeader, type GroupLeaderOptions } from "./group/group-leader.ts";
import { Leaf } from "./leaf.ts";
import type { LeafForms } from "./leaf-frames.ts";
import { LeafRecords } from "./leaf-record.ts";
import type { UpdateFloats } from "./leaf-update.ts";

/** How a group's members connect to each other. */
export type GroupOptions = Pick<GroupLeaderOptions, "dialer" | "iceServers">;

export interface LeavesOptions {
  job: number;
  leavesMax: number;
  forms: LeafForms;
  floats: UpdateFloats;
  clock: Clock;
  /** What the reducer's own part of a step takes. */
  stepMs: () => number;
  /** Volunteers that trust each other may form a group; without a dialer it goes by their links alone. */
  groups?: GroupOptions | undefined;
  /** To the coordinator. */
  tell: (control: Control) => void;
  log: (line: string) => void;
  sabotages?: Sabotages | undefined;
}

export class Leaves {
  /** Of those that take part in one, where they may. */
  readonly group: GroupLeader | undefined;
  readonly #o: LeavesOptions;
  /** By volunteer, in the order in which they came. */
  readonly #leaves = new Map<number, Leaf>();
  readonly #records = new LeafRecords();
  #told = "";
  #cancelReport: () => void = () => {};

  constructor(o: LeavesOptions) {
    this.#o = o;
    const { job, clock, log, groups } = o;
    this.group =
      groups &&
      new GroupLeader({
        job,
        clock,
        ...groups,
        send: (volunteer, message) => this.#leaves.get(volunteer)?.send(message),
        onFault: (error) => log(`group of volunteers: ${error instanceof Error ? error.message : String(error)}`),
      });
    this.#report();
  }

  get count(): number {
    return this.#leaves.size;
  }

  /** Those that wait for a task, in the order in which they came. */
  get ready(): Leaf[] {
    return [...this.#leaves.values()].filter(({ isReady }) => isReady);
  }

  /** A volunteer has come, through a gateway that knows it; one that comes again takes the place of its earlier link. */
  accept({ volunteer, name, link }: { volunteer: number; name: string; link: Link }): void {
    const { forms, floats, clock, stepMs, leavesMax, sabotages = NO_SABOTAGE } = this.#o;
    this.#leaves.get(volunteer)?.end({ code: "NAME_TAKEN", message: "this volunteer came again", mayReturn: false });
    const leaf = new Leaf({
      volunteer,
      name,
      link,
      forms,
      floats,
      clock,
      record: this.#records.of(volunteer),
      stepMs,
      takesLate: sabotages.has("take-late-leaf-update"),
      onLate: (late, task) =>
        late.refuse(task, { code: "UPDATE_LATE", message: "the update came after its step had gone on without it" }),
      onGroup: (message) => this.group?.take(volunteer, message),
      onGone: (gone) => {
        if (this.#leaves.get(volunteer) !== gone) return;
        this.#leaves.delete(volunteer);
        this.group?.lose(volunteer);
      },
    });
    const { expelled } = leaf.record;
    if (expelled) return leaf.end({ ...expelled, mayReturn: false }); // the coordinator may not have heard of it
    if (this.count >= leavesMax) {
      leaf.end({ code: "NO_REDUCER", message: `this reducer has ${leavesMax} volunteers already`, mayReturn: true });
      return;
    }
    this.#leaves.set(volunteer, leaf);
  }

  /** Refuses an update; who sends too many that cannot be right is expelled. */
  refuse(leaf: Leaf, task: number, fault: { code: string; message: string }): void {
    leaf.refuse(task, fault);
    const faults = ++leaf.record.faults;
    if (fault.code === "UPDATE_DIFFERS" || faults >= LIMITS.leafRefusalsMax) this.#expel(leaf, fault);
  }

  close(reason: string): void {
    this.#cancelReport();
    this.group?.close();
    for (const leaf of this.#leaves.values()) leaf.end({ code: "NO_REDUCER", message: reason, mayReturn: true });
    this.#leaves.clear();
  }

  #expel(leaf: Leaf, { code, message }: { code: string; message: string }): void {
    const { job, tell, log } = this.#o;
    const { volunteer, name } = leaf;
    leaf.record.expelled = { code, message };
    log(`volunteer ${volunteer} (${name}) is expelled: ${message}`);
    tell({ type: "expel", job, volunteer, reason: message });
    leaf.end({ code, message, mayReturn: false });
  }

  #report(): void {
    this.#cancelReport = this.#o.clock.after(LIMITS.leavesEveryMs, () => {
      const leaves: LeafStatus[] = Array.from(this.#leaves.values(), (leaf) => leaf.status());
      const told = JSON.stringify(leaves);
      if (told !== this.#told) this.#o.tell({ type: "leaves", job: this.#o.job, leaves });
      this.#told = told;
      this.#report();
    });
  }
}
