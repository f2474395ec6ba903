/**
 * The bulk of the step under way and of the next one: their samples are read, their rows pulled, and their gradients
 * pushed. Which of that happens when is decided by {@link StepTransaction}.
 *
 * A step's pull and push have the step as their request id, name their attempt in `term`, and in `generation` the heads
 * of the partition map that they were made by. An attempt belongs to one map: what is prepared for the one before is kept
 * as it is until another attempt starts.
 */
import type { NodeLinks } from "../../client/index.ts";
import type { Dataset } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import type { PartitionMap } from "../../partition/index.ts";
import { frame, OPCODES, type Frame } from "../../wire/index.ts";
import type { StepPlan } from "../job/plan.ts";
import type { Attempt } from "./step-events.ts";
import type { Route, StepRows, StepRowsFactory } from "../rows/step-rows.ts";
import { StepsAhead } from "./steps-ahead.ts";

export interface Prepared extends Attempt {
  /** Undefined for the step after the last: its pulls only ask for the commit. */
  readonly rows: StepRows | undefined;
  readonly route: Route;
  readonly answered: Set<number>;
}

export interface PreparedStepsOptions {
  job: number;
  manifest: JobManifest;
  plan: StepPlan;
  dataset: Dataset;
  rows: StepRowsFactory;
  nodes: NodeLinks;
  /** The samples of a step cannot be read. */
  fail(error: unknown): void;
}

export class PreparedSteps {
  readonly #o: PreparedStepsOptions;
  readonly #prepared = new Map<number, Prepared>();
  /** Steps whose samples are being read. */
  readonly #reading = new Map<number, Attempt>();
  readonly #ahead: StepsAhead;
  /** How long slices are in relation to one another, in the term under way. */
  #shares: readonly number[] | undefined;

  constructor(o: PreparedStepsOptions) {
    this.#o = o;
    this.#ahead = new StepsAhead(o);
  }

  get(step: number): Prepared | undefined {
    return this.#prepared.get(step);
  }

  /** Where the frames of the next attempt go. */
  get route(): Route {
    return this.#o.rows.route;
  }

  /** A new term goes by this map and these shares. What is still being read for an older one has nobody to pull its rows for. */
  adopt(map: PartitionMap, shares?: readonly number[]): void {
    this.#reading.clear();
    this.#shares = shares;
    this.#o.rows.adopt(map);
  }

  /** Reads this slot's samples of a step and pulls their rows from every node. */
  prepare({ step, attempt, rank, slots }: Attempt & { rank: number; slots: number }): void {
    const { plan } = this.#o;
    for (const [old, prepared] of this.#prepared) {
      if (old >= step - 1 && prepared.attempt === attempt) continue;
      prepared.rows?.release();
      this.#prepared.delete(old);
    }
    if (step > plan.steps) {
      this.#pullAll({ step, attempt }, undefined);
      return;
    }
    const slice = { step, rank, slots, shares: this.#shares };
    const rows = this.#ahead.take(slice);
    if (rows instanceof Promise) this.#pullOnceRead({ step, attempt, rows });
    else this.#pullAll({ step, attempt }, this.#o.rows.upToDate(rows));
    this.#ahead.readOn(slice);
  }

  /**
   * Takes a part of a node's answer to a pull.
   *
   * @returns the answer is whole now; false for one of an abandoned attempt, or a repeat
   * @throws {ProtocolError} a part that does not fit the pull
   */
  takeReply(node: number, part: Frame): boolean {
    const { requestId: step, term: attempt } = part;
    const prepared = this.#prepared.get(step);
    if (prepared?.attempt !== attempt || prepared.answered.has(node)) return false;
    const n = prepared.route.nodes.indexOf(node);
    if (n < 0) return false;
    const isWhole = prepared.rows?.pulled(n).take(part) ?? true;
    if (isWhole) prepared.answered.add(node);
    return isWhole;
  }

  /** A node does not know the keys that a pull or a push named: sends it again, whole. */
  sendWhole(node: number, { cursor: opcode, requestId: step, term: attempt, slot, keyList }: Frame): void {
    this.#o.nodes.forgetKeys(node, keyList);
    if (opcode === OPCODES.pull) this.repeatPull({ step, attempt }, node);
    else this.push({ step, attempt, slot }, node);
  }

  repeatPull({ step, attempt }: Attempt, node: number): void {
    const prepared = this.#prepared.get(step);
    if (prepared?.attempt === attempt && !prepared.answered.has(node)) this.#pull(prepared, node);
  }

  pushAll(at: Attempt & { slot: number }): void {
    for (const node of this.#prepared.get(at.step)?.route.nodes ?? []) this.push(at, node);
  }

  /** Pushes the row gradients of a computed step to one node. */
  push({ step, attempt, slot }: Attempt & { slot: number }, node: number): void {
    const prepared = this.#prepared.get(step);
    if (!prepared?.rows || prepared.attempt !== attempt) return;
    const { rows, route } = prepared;
    const n = route.nodes.indexOf(node);
    if (n < 0) return;
    const at = { job: this.#o.job, requestId: step, generation: route.heads, step, attempt, term: attempt, slot };
    this.#o.nodes.sendKeyed(node, frame({ opcode: "push", ...at, ...rows.push(n) }));
  }

  /** A step is committed: what its push left out is kept for a later one. */
  settle({ step, attempt }: Attempt): void {
    const prepared = this.#prepared.get(step);
    if (prepared?.attempt === attempt) prepared.rows?.settle();
  }

  /** Forgets everything: the attempt is given up. */
  drop(): void {
    for (const { rows } of this.#prepared.values()) rows?.release();
    this.#prepared.clear();
    this.#reading.clear();
    this.#ahead.drop();
  }

  /** Until the samples are read there is nothing to pull, and a repeat finds nothing to repeat. */
  #pullOnceRead({ step, attempt, rows }: Attempt & { rows: Promise<StepRows> }): void {
    const reading = { step, attempt };
    this.#reading.set(step, reading);
    rows.then(
      (read) => {
        if (this.#reading.get(step) !== reading) return;
        this.#reading.delete(step);
        this.#pullAll({ step, attempt }, this.#o.rows.upToDate(read));
      },
      (error: unknown) => this.#o.fail(error),
    );
  }

  #pullAll({ step, attempt }: Attempt, rows: StepRows | undefined): void {
    const { route } = rows ?? this.#o.rows;
    const prepared = { step, attempt, rows, route, answered: new Set<number>() };
    this.#prepared.set(step, prepared);
    for (const node of route.nodes) this.#pull(prepared, node);
  }

  #pull({ step, attempt, rows, route }: Prepared, node: number): void {
    const n = route.nodes.indexOf(node);
    if (n < 0) return;
    const at = { job: this.#o.job, requestId: step, generation: route.heads, step, term: attempt };
    this.#o.nodes.sendKeyed(node, frame({ opcode: "pull", ...at, ...rows?.sections(n) }));
  }
}
