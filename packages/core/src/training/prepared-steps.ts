/**
 * The bulk of the step under way and of the next one: their samples are read, their rows pulled, and their gradients
 * pushed. Which of that happens when is decided by {@link StepTransaction}.
 *
 * A step's pull and push have the step as their request id, and the pull names its attempt in `term`.
 */
import type { Dataset } from "../data/index.ts";
import type { JobManifest } from "../job/index.ts";
import { frame, OPCODES, type Frame } from "../wire/index.ts";
import type { NodeLinks } from "./node-links.ts";
import type { StepPlan } from "./plan.ts";
import type { StepRows, StepRowsFactory } from "./step-rows.ts";
import { StepsAhead } from "./steps-ahead.ts";
import type { Attempt } from "./step-transaction.ts";

export interface Prepared extends Attempt {
  /** Undefined for the step after the last: its pulls only ask for the commit. */
  readonly rows: StepRows | undefined;
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
  readonly #nodeIds: readonly number[];
  readonly #prepared = new Map<number, Prepared>();
  /** Steps whose samples are being read. */
  readonly #reading = new Map<number, Attempt>();
  readonly #ahead: StepsAhead;

  constructor(o: PreparedStepsOptions) {
    this.#o = o;
    this.#nodeIds = o.nodes.ids;
    this.#ahead = new StepsAhead(o);
  }

  get(step: number): Prepared | undefined {
    return this.#prepared.get(step);
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
      this.#pullAll({ step, attempt, rows: undefined, answered: new Set() });
      return;
    }
    const rows = this.#ahead.take({ step, rank, slots });
    if (rows instanceof Promise) this.#pullOnceRead({ step, attempt, rows });
    else this.#pullAll({ step, attempt, rows, answered: new Set() });
    this.#ahead.readOn({ step, rank, slots });
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
    const isWhole = prepared.rows?.pulled(this.#nodeIds.indexOf(node)).take(part) ?? true;
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
    for (const node of this.#nodeIds) this.push(at, node);
  }

  /** Pushes the row gradients of a computed step to one node. */
  push({ step, attempt, slot }: Attempt & { slot: number }, node: number): void {
    const prepared = this.#prepared.get(step);
    if (!prepared?.rows || prepared.attempt !== attempt) return;
    const { rows } = prepared;
    const n = this.#nodeIds.indexOf(node);
    const at = { job: this.#o.job, requestId: step, step, attempt, term: attempt, slot };
    const sections = { ...rows.sections(n), ...rows.pushValues(n) };
    this.#o.nodes.sendKeyed(node, frame({ opcode: "push", ...at, ...sections }));
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
        this.#pullAll({ step, attempt, rows: read, answered: new Set() });
      },
      (error: unknown) => this.#o.fail(error),
    );
  }

  #pullAll(prepared: Prepared): void {
    this.#prepared.set(prepared.step, prepared);
    for (const node of this.#nodeIds) this.#pull(prepared, node);
  }

  #pull({ step, attempt, rows }: Prepared, node: number): void {
    const sections = rows ? { dtype: rows.wire.rows, ...rows.sections(this.#nodeIds.indexOf(node)) } : {};
    const pull = frame({ opcode: "pull", job: this.#o.job, requestId: step, step, term: attempt, ...sections });
    this.#o.nodes.sendKeyed(node, pull);
  }
}
