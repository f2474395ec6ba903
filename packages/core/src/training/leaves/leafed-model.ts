/**
 * A model that computes a step with the help of volunteers. To the session that trains it is a model as any other: it
 * asks for the gradients of some samples and gets their sum. So nothing else of a worker knows of volunteers, in any
 * mode: each sample is in the sum once, whoever computed it, and whoever leaves costs no more than a moment.
 *
 * The last samples of a step go to volunteers, in their order, the others are its own. What has not come when its time is
 * over it computes itself. What has come is checked; a share of it, and what points where the others do not, is computed
 * again; then gradients that are too long are shortened, and all are combined by a rule that bounds what any one of them
 * can do.
 */
import { Combiner, type CombineRule } from "../../collective/robust/index.ts";
import { floatsOfUse, type JobManifest } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { NO_SABOTAGE, type Sabotages } from "../../sabotage.ts";
import type { Clock, Control, Link } from "../../wire/index.ts";
import type { GradientModel, PredictInput, StepGradients, StepInput } from "../job/gradient-model.ts";
import { Agreement } from "./agreement.ts";
import { AuditDraw, differs } from "./audit.ts";
import type { GroupCall } from "./group/group-leader.ts";
import { GroupedTasks, type GroupedTask } from "./grouped-tasks.ts";
import { RoundPace } from "./group/round-pace.ts";
import { leafForms, sampleFloats, sliceOfInput, type LeafForms } from "./leaf-frames.ts";
import { LeafShares, type ShareOf } from "./leaf-shares.ts";
import type { LeafUpdate } from "./leaf-update.ts";
import type { Accepted, DenseVersion, Leaf } from "./leaf.ts";
import { Leaves, type GroupOptions } from "./leaves.ts";
import { leastLossOf, type LeastLoss } from "./least-loss.ts";
import { RowClip } from "./row-clip.ts";
import { checkUpdate, TypicalUpdate, type Refusal } from "./update-check.ts";

/** How a worker deals with volunteers. */
export interface ReducerOptions {
  /** So many at a time; 0 takes none. */
  leavesMax: number;
  combine: CombineRule;
  /** The share of their updates that is computed again, in [0, 1]. */
  audit: number;
  /** u32 words, at most 4, that no volunteer knows: they decide which updates that is. */
  auditSeed: ArrayLike<number>;
  /**
   * Volunteers that want to may sum their dense gradients with this worker's, as a group: no rule bounds what one of
   * them does to that sum, so it is for people who trust each other. Without a dialer it all goes by their links.
   */
  groups?: GroupOptions | undefined;
}

export interface LeafedModelOptions extends ReducerOptions {
  model: GradientModel;
  job: number;
  manifest: JobManifest;
  clock: Clock;
  /** To the coordinator. */
  tell: (control: Control) => void;
  log: (line: string) => void;
  sabotages?: Sabotages | undefined;
}

/** Gradients of some of a step's samples, from whomever. */
interface Part {
  readonly samples: number;
  readonly trusted: boolean;
  readonly gradients: StepGradients;
}

export class LeafedModel implements GradientModel {
  readonly denseFloats: number;
  readonly #o: LeafedModelOptions;
  readonly #leaves: Leaves;
  readonly #shares: LeafShares;
  readonly #combiner: Combiner;
  readonly #rowClip: RowClip;
  readonly #typical = new TypicalUpdate();
  readonly #agreement = new Agreement();
  readonly #audit: AuditDraw;
  readonly #leastLoss: LeastLoss;
  readonly #roundPace = new RoundPace();
  readonly #forms: LeafForms;
  readonly #rowFloats: number;
  readonly #sabotages: Sabotages;
  /** The weights in use, where anyone might need them. */
  #dense: { version: number; weights: Float32Array } | undefined;
  #version = 0;
  #task = 0;
  /** Of the newest step. */
  #samples = 0;
  /** Updates in the gradients of a step that may yet be taken again. */
  #uncommitted: { step: number; accepted: { leaf: Leaf; of: Accepted }[] } = { step: -1, accepted: [] };

  constructor(o: LeafedModelOptions) {
    const { model, manifest, job, leavesMax, clock, tell, log, groups, sabotages = NO_SABOTAGE } = o;
    this.#o = o;
    this.#sabotages = sabotages;
    this.denseFloats = model.denseFloats;
    this.#forms = leafForms(manifest);
    const { rows } = sampleFloats(manifest.model);
    this.#rowFloats = rows.reduce((floats, { places, width }) => floats + places * width, 0);
    this.#shares = new LeafShares({ rowFloats: Math.max(1, this.#rowFloats) });
    const stepMs = () => this.#stepMs;
    const floats = { rows, dense: model.denseFloats };
    this.#leaves = new Leaves({
      job,
      leavesMax,
      forms: this.#forms,
      floats,
      clock,
      tell,
      log,
      stepMs,
      groups,
      sabotages,
    });
    this.#combiner = new Combiner({ rule: o.combine, n: model.denseFloats });
    this.#rowClip = new RowClip({ widths: manifest.model.embeddings.map(floatsOfUse) });
    this.#leastLoss = leastLossOf(manifest);
    this.#audit = new AuditDraw({ share: o.audit, seed: o.auditSeed });
  }

  /** What a step like the last one takes this worker alone. */
  get #stepMs(): number {
    return this.#shares.expectedMs(this.#samples);
  }

  /** A volunteer has come. */
  accept(of: { volunteer: number; name: string; link: Link }): void {
    this.#leaves.accept(of);
  }

  setDense(flat: Float32Array): void {
    this.#o.model.setDense(flat);
    this.#version++;
    // A volunteer that comes later waits for the next weights, which is a step at most.
    this.#dense = this.#leaves.count === 0 ? undefined : { version: this.#version, weights: flat.slice() };
  }

  predict(at: PredictInput): Promise<Float32Array> {
    return this.#o.model.predict(at);
  }

  async step(at: StepInput): Promise<StepGradients> {
    this.#settle(at.step);
    this.#samples = at.samples;
    const { given, grouped } = this.#give(at);
    const helped = given.reduce((sum, { samples }) => sum + samples, 0);
    const own = await this.#ownPart(at, at.samples - helped, grouped);
    const parts = [own, ...(await this.#collect(at, given, own))];
    if (given.length === 0) return own.gradients;
    return this.#combine(at, parts);
  }

  dispose(): void {
    this.#settle(undefined);
    this.#leaves.close("the job is over, or its worker has left it");
    this.#o.model.dispose();
  }

  /** The step before is committed: this one could not be computed otherwise. If it is the same step, it begins anew. */
  #settle(step: number | undefined): void {
    const { accepted, step: before } = this.#uncommitted;
    const isCommitted = step === undefined || step !== before || this.#sabotages.has("accept-leaf-before-commit");
    if (isCommitted) for (const { leaf, of } of accepted) leaf.accept(of);
    this.#uncommitted = { step: step ?? -1, accepted: [] };
  }

  /** Tasks of a group are of the samples after this worker's own: they count as its own. */
  #give(at: StepInput): { given: Given[]; grouped?: GroupedTasks | undefined } {
    const dense = this.#dense;
    if (!dense) return { given: [] };
    const { ready } = this.#leaves;
    for (const leaf of ready) if (leaf.isOnTrial) this.#tryOut(leaf, at, dense);
    const shares: ShareOf<Leaf>[] = this.#shares.plan(
      at.samples,
      ready.filter(({ isOnTrial }) => !isOnTrial),
    );
    let from = at.samples - shares.reduce((sum, { samples }) => sum + samples, 0);
    const tasks = shares.map((share) => ({ ...share, task: ++this.#task }));
    const call = this.#leaves.group?.call(new Map(tasks.map(({ leaf, task }) => [leaf.volunteer, task])));
    const inGroup = new Set(call?.volunteers);
    const give = ({ leaf, samples, task }: (typeof tasks)[number]) => {
      const input = sliceOfInput(at, from, from + samples);
      from += samples;
      const how = { dense, inGroup: inGroup.has(leaf.volunteer) };
      return { leaf, samples, input, task, givenAt: this.#o.clock.now(), update: leaf.give(task, input, how) };
    };
    const grouped = tasks.filter(({ leaf }) => inGroup.has(leaf.volunteer)).map(give);
    const given = tasks.filter(({ leaf }) => !inGroup.has(leaf.volunteer)).map(give);
    return { given, grouped: call && this.#groupedTasks(call, grouped) };
  }

  #tryOut(leaf: Leaf, at: StepInput, dense: DenseVersion): void {
    const samples = Math.min(at.samples, leaf.pace.samples);
    leaf.tryOut(++this.#task, sliceOfInput(at, 0, samples), dense);
  }

  #groupedTasks(call: GroupCall, tasks: readonly GroupedTask[]): GroupedTasks {
    return new GroupedTasks({
      call,
      tasks,
      clock: this.#o.clock,
      pace: this.#roundPace,
      compute: (input) => this.#o.model.step(input),
      faultOf: (update, input) => this.#faultOf(update, input),
      refuse: (leaf, task, refusal) => this.#leaves.refuse(leaf, task, refusal),
      accept: (leaf, of) => this.#uncommitted.accepted.push({ leaf, of }),
      stepMs: () => this.#stepMs,
    });
  }

  async #ownPart(at: StepInput, samples: number, grouped: GroupedTasks | undefined): Promise<Part> {
    const { clock, model } = this.#o;
    const begunMs = clock.now();
    const own = samples - (grouped?.samples ?? 0);
    const gradients = await model.step(own === at.samples ? at : sliceOfInput(at, 0, own));
    this.#shares.noteOwn(own, clock.now() - begunMs);
    this.#typical.see(gradients, { samples: own, globalSamples: at.globalSamples });
    return { samples, trusted: true, gradients: grouped ? await grouped.complete(gradients) : gradients };
  }

  /** Waits for each, then takes what can be believed of what has come, and computes the rest. */
  async #collect(at: StepInput, given: readonly Given[], own: Part): Promise<Part[]> {
    const { clock, model } = this.#o;
    const ownAt = clock.now();
    const updates = await Promise.all(
      given.map(async ({ update }) => {
        const came = await update;
        return { came, waitedMs: Math.max(0, clock.now() - ownAt) };
      }),
    );
    const stepMs = this.#stepMs;
    const faults = given.map(({ input }, i) => updates[i]!.came && this.#faultOf(updates[i]!.came, input));
    const suspects = this.#suspects(
      own,
      given.map(({ leaf, samples }, i) => ({ leaf, samples, update: faults[i] ? undefined : updates[i]!.came })),
    );
    const parts: Part[] = [];
    for (const [i, { leaf, samples, input, task }] of given.entries()) {
      const { came, waitedMs } = updates[i]!;
      leaf.pace.spend(Math.max(0, waitedMs - LIMITS.leafSlowdownMax * stepMs));
      if (came) leaf.pace.note({ samples, ms: came.ms, waitedMs, stepMs });
      const fault = faults[i];
      if (fault) this.#leaves.refuse(leaf, task, fault);
      const isLookedAt = suspects.has(leaf.volunteer) || this.#audit.picks({ volunteer: leaf.volunteer, task });
      const isBelieved = !isLookedAt || this.#sabotages.has("believe-leaves");
      const difference = came && !fault && !isBelieved ? await this.#differenceOf(came, input) : undefined;
      if (difference) this.#leaves.refuse(leaf, task, difference);
      const believed = fault || difference ? undefined : came;
      if (believed) {
        const step = at.step ?? 0;
        const of = { task, step, samples, stepSamples: at.globalSamples, ms: came!.ms };
        this.#uncommitted.accepted.push({ leaf, of });
        parts.push({ samples, trusted: false, gradients: believed });
      } else if (!came && this.#sabotages.has("forget-lost-leaf")) {
        const [rowGrads, denseGrads] = [input.rows.map(() => 0), new Float32Array(this.denseFloats)];
        parts.push({ samples, trusted: true, gradients: { rowGrads, denseGrads, lossSum: 0 } });
      } else parts.push({ samples, trusted: true, gradients: await model.step(input) });
    }
    return parts;
  }

  #faultOf(update: LeafUpdate, input: StepInput): Refusal | undefined {
    if (this.#sabotages.has("believe-leaves")) return undefined;
    const { samples, globalSamples } = input;
    const floats = { rowFloats: this.#rowFloats, denseFloats: this.denseFloats };
    const lossSumMin = this.#leastLoss(input);
    return (
      update.wrong ?? checkUpdate(update, { samples, globalSamples, ...floats, lossSumMin, typical: this.#typical })
    );
  }

  /** Whose updates are computed again because they point where others do not; no one's where a plain sum is asked for. */
  #suspects(
    own: Part,
    came: readonly { leaf: Leaf; samples: number; update: LeafUpdate | undefined }[],
  ): ReadonlySet<number> {
    if (this.#o.combine === "mean") return new Set();
    const parts = came.flatMap(({ leaf: { volunteer }, samples, update }) =>
      update ? [{ volunteer, samples, gradients: update }] : [],
    );
    return this.#agreement.suspects([{ volunteer: undefined, ...own }, ...parts]);
  }

  /** How an update differs from what its samples give; undefined where it does not. */
  async #differenceOf(update: LeafUpdate, input: StepInput): Promise<Refusal | undefined> {
    return differs(update, await this.#o.model.step(input), { forms: this.#forms, distinct: update.distinct });
  }

  #combine({ globalSamples }: StepInput, parts: readonly Part[]): StepGradients {
    if (this.#o.combine !== "mean") {
      const rows = parts.map(({ samples, trusted, gradients: { rowGrads } }) => ({ rowGrads, samples, trusted }));
      this.#rowClip.clip(rows, { globalSamples });
    }
    const dense = parts.map(({ samples, trusted, gradients }) => ({ dense: gradients.denseGrads, samples, trusted }));
    const { sum } = this.#combiner.combine(dense, { globalSamples });
    const rowGrads = new Float32Array(parts.reduce((floats, { gradients }) => floats + gradients.rowGrads.length, 0));
    let at = 0;
    let lossSum = 0;
    for (const { gradients } of parts) {
      rowGrads.set(gradients.rowGrads, at);
      at += gradients.rowGrads.length;
      lossSum += gradients.lossSum;
    }
    return { rowGrads, denseGrads: sum, lossSum };
  }
}

/** A volunteer's part of a step, and what comes of it. */
interface Given extends ShareOf<Leaf> {
  readonly input: StepInput;
  readonly task: number;
  readonly update: Promise<LeafUpdate | undefined>;
}
