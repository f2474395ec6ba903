/**
 * The bulk of the step under way and of the next one: their samples are read, their rows pulled, and their gradients
 * pushed. Which of that happens when is decided by {@link StepTransaction}.
 *
 * A step's pull and push have the step as their request id, and the pull names its attempt in `term`.
 */
import { EpochOrder, type Dataset } from "../data/index.ts";
import type { JobManifest } from "../job/index.ts";
import { frame, type Frame } from "../wire/index.ts";
import type { NodeLinks } from "./node-links.ts";
import type { StepPlan } from "./plan.ts";
import type { StepRows, StepRowsFactory } from "./step-rows.ts";
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
  #order: { epoch: number; order: EpochOrder } | undefined;

  constructor(o: PreparedStepsOptions) {
    this.#o = o;
    this.#nodeIds = o.nodes.ids;
  }

  get(step: number): Prepared | undefined {
    return this.#prepared.get(step);
  }

  /** Reads this slot's samples of a step and pulls their rows from every node. */
  prepare({ step, attempt, rank, slots }: Attempt & { rank: number; slots: number }): void {
    const { plan, rows: factory } = this.#o;
    for (const [old, prepared] of this.#prepared)
      if (old < step - 1 || prepared.attempt !== attempt) this.#prepared.delete(old);
    if (step > plan.steps) {
      this.#pullAll({ step, attempt, rows: undefined, answered: new Set() });
      return;
    }
    const epoch = plan.epochOf(step);
    const { from, to } = plan.sliceOf({ step, slot: rank, slots });
    const rows = factory.read("train", this.#orderOf(epoch).slice(from, to), epoch);
    if (rows instanceof Promise) this.#pullOnceRead({ step, attempt, rows });
    else this.#pullAll({ step, attempt, rows, answered: new Set() });
  }

  /** Takes a node's answer to a pull; false for one of an abandoned attempt, or a repeat. */
  takeReply(node: number, { requestId: step, term: attempt, values }: Frame): boolean {
    const prepared = this.#prepared.get(step);
    if (prepared?.attempt !== attempt || prepared.answered.has(node)) return false;
    prepared.answered.add(node);
    prepared.rows?.takeReply(this.#nodeIds.indexOf(node), values);
    return true;
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
    const sections = { ...rows.sections(n), values: rows.gradientsFor(n) };
    this.#o.nodes.get(node).sendFrame(frame({ opcode: "push", ...at, ...sections }));
  }

  /** Forgets everything: the attempt is given up. */
  drop(): void {
    this.#prepared.clear();
    this.#reading.clear();
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
    const sections = rows?.sections(this.#nodeIds.indexOf(node)) ?? {};
    const pull = frame({ opcode: "pull", job: this.#o.job, requestId: step, step, term: attempt, ...sections });
    this.#o.nodes.get(node).sendFrame(pull);
  }

  #orderOf(epoch: number): EpochOrder {
    if (this.#order?.epoch !== epoch) {
      const { manifest, dataset, plan } = this.#o;
      const { seed, fit } = manifest;
      const { blocks } = dataset;
      this.#order = {
        epoch,
        order: new EpochOrder({ rows: plan.trainRows, seed, epoch, blocks, shuffle: fit.shuffle }),
      };
    }
    return this.#order.order;
  }
}
