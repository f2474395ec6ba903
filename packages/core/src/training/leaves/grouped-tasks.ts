/**
 * The tasks of one step that a group has: their dense gradients come as one sum with the reducer's own, their row
 * gradients from each volunteer. Together they are a part of the step that counts as the reducer's own.
 *
 * What happens when a volunteer dies here: a round without it gives the sum, and the reducer computes its samples. It
 * does so too where no round has come to anything in time and a volunteer's dense gradients have not come by themselves.
 */
import type { Clock } from "../../wire/index.ts";
import type { StepGradients, StepInput } from "../job/gradient-model.ts";
import type { LeafUpdate } from "./leaf-update.ts";
import type { Accepted, Leaf } from "./leaf.ts";
import type { Refusal } from "./update-check.ts";
import type { GroupCall, GroupSum } from "./group/group-leader.ts";
import type { RoundPace } from "./group/round-pace.ts";

/** A task that was given, and what comes of it. */
export interface GroupedTask {
  readonly leaf: Leaf;
  readonly task: number;
  readonly samples: number;
  readonly input: StepInput;
  readonly givenAt: number;
  readonly update: Promise<LeafUpdate | undefined>;
}

export interface GroupedTasksOptions {
  call: GroupCall;
  /** In the order of their samples. */
  tasks: readonly GroupedTask[];
  clock: Clock;
  pace: RoundPace;
  compute: (input: StepInput) => Promise<StepGradients>;
  /** Why an update cannot count, if it cannot. */
  faultOf: (update: LeafUpdate, input: StepInput) => Refusal | undefined;
  refuse: (leaf: Leaf, task: number, refusal: { code: string; message: string }) => void;
  accept: (leaf: Leaf, of: Accepted) => void;
  /** What everything else takes, in a step. */
  stepMs: () => number;
}

export class GroupedTasks {
  readonly samples: number;
  readonly #o: GroupedTasksOptions;

  constructor(o: GroupedTasksOptions) {
    this.#o = o;
    this.samples = o.tasks.reduce((sum, { samples }) => sum + samples, 0);
  }

  /**
   * @param own gradients of the samples before these
   * @returns those of all, in order; the caller owns them
   */
  async complete(own: StepGradients): Promise<StepGradients> {
    const { call, tasks, clock, pace } = this.#o;
    const ownAt = clock.now();
    const round = call.sum(own.denseGrads);
    let cancel = clock.after(pace.waitMs, () => {
      pace.fail();
      call.dissolve(); // what is computed comes by itself then
      cancel = clock.after(pace.waitMs, () => {
        for (const { leaf, task } of tasks) leaf.giveUp(task);
      });
    });
    const updates = await Promise.all(
      tasks.map(async ({ leaf, update }) => {
        const came = await update;
        if (!came) call.lose(leaf.volunteer);
        return came;
      }),
    );
    const sum = await round;
    cancel();
    if (sum) pace.note(clock.now() - ownAt);
    const right = updates.map((update, i) => update && this.#checked(tasks[i]!, update, { own, ownAt }));
    const counts = sum !== undefined && tasks.every(({ leaf }, i) => !isIn(sum, leaf) || right[i] !== undefined);
    const parts: StepGradients[] = [{ ...own, denseGrads: counts ? sum.sum : own.denseGrads }];
    for (const [i, task] of tasks.entries()) parts.push(await this.#part(task, right[i], counts ? sum : undefined));
    return joined(parts);
  }

  /** @returns the update, unless it cannot count */
  #checked(
    { leaf, task, samples, input, givenAt }: GroupedTask,
    update: LeafUpdate,
    { own, ownAt }: { own: StepGradients; ownAt: number },
  ): LeafUpdate | undefined {
    const waitedMs = Math.max(0, givenAt + update.ms - ownAt);
    leaf.pace.note({ samples, ms: update.ms, waitedMs, stepMs: this.#o.stepMs() });
    // Dense gradients that are in a sum are not there to be looked at.
    const denseGrads = update.denseGrads.length > 0 ? update.denseGrads : new Float32Array(own.denseGrads.length);
    const fault = this.#o.faultOf({ ...update, denseGrads }, input);
    if (fault) this.#o.refuse(leaf, task, fault);
    return fault ? undefined : update;
  }

  /** Gradients of one task; without its dense ones, where they are in the sum. */
  async #part(
    { leaf, task, samples, input }: GroupedTask,
    update: LeafUpdate | undefined,
    sum: GroupSum | undefined,
  ): Promise<StepGradients> {
    const isSummed = sum !== undefined && isIn(sum, leaf);
    if (update && (isSummed || update.denseGrads.length > 0)) {
      const { step = 0, globalSamples: stepSamples } = input;
      this.#o.accept(leaf, { task, step, samples, stepSamples, ms: update.ms });
      return isSummed ? { ...update, denseGrads: NONE } : update;
    }
    if (update) leaf.refuse(task, { code: "UPDATE_LATE", message: "its group had no sum of this step in time" });
    return this.#o.compute(input);
  }
}

function isIn({ volunteers }: GroupSum, { volunteer }: Leaf): boolean {
  return volunteers.includes(volunteer);
}

function joined(parts: readonly StepGradients[]): StepGradients {
  const rowGrads = new Float32Array(parts.reduce((floats, part) => floats + part.rowGrads.length, 0));
  const denseGrads = parts[0]!.denseGrads.slice();
  let at = 0;
  let lossSum = 0;
  for (const [i, part] of parts.entries()) {
    rowGrads.set(part.rowGrads, at);
    at += part.rowGrads.length;
    lossSum += part.lossSum;
    if (i > 0) for (const [k, value] of part.denseGrads.entries()) denseGrads[k]! += value;
  }
  return { rowGrads, denseGrads, lossSum };
}

const NONE = new Float32Array(0);
