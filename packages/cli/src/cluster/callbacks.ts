/**
 * Callbacks by tfjs's names, run here and driven by the news of a job. They see training from afar: a step is
 * committed by the time its callback runs, and training does not wait for them.
 */
import type { EpochNews, JobNews, JobStatus, StepNews, ValidationNews } from "@volary/core/wire";
import { epochLogs } from "./run-history.ts";

/** Figures by name, as `loss` and `val_auc`. */
export type Logs = Record<string, number>;

/**
 * As tfjs's `CustomCallbackArgs`; instances of `tf.CustomCallback` and `tf.Callback` will do, too. A callback ends
 * training after the step under way by `model.stopTraining = true`, or by returning `{ stopTraining: true }`.
 */
export interface TrainingCallbacks {
  onTrainBegin?(logs?: Logs): unknown;
  onTrainEnd?(logs?: Logs): unknown;
  /** @param epoch from 0 */
  onEpochBegin?(epoch: number, logs?: Logs): unknown;
  /** @param logs `loss` of the epoch; `val_loss`, `val_auc`, … where the held-out rows were evaluated after it */
  onEpochEnd?(epoch: number, logs?: Logs): unknown;
  /** @param batch the step in its epoch, from 0 */
  onBatchBegin?(batch: number, logs?: Logs): unknown;
  /** @param logs `batch`, `size` in samples, `loss` */
  onBatchEnd?(batch: number, logs?: Logs): unknown;
}

/** What tfjs's own callbacks are told beforehand. */
interface TfjsCallback extends TrainingCallbacks {
  setModel?(model: unknown): void;
  setParams?(params: Record<string, unknown>): void;
}

export interface CallbackDriverOptions {
  callbacks: readonly TrainingCallbacks[];
  /** The model that is fitted, if it is one object: its `stopTraining` is watched. */
  model?: { stopTraining: boolean } | undefined;
  params: Record<string, unknown>;
  /** Ends training after the step under way. */
  onStop(reason: string): void;
  /** A callback threw; no other is run. */
  onError(error: unknown): void;
}

export class CallbackDriver {
  readonly #o: CallbackDriverOptions;
  /** Settles when all that was taken so far has been told. */
  #told: Promise<void>;
  #epoch = 0;
  /** Steps told of the epoch under way; undefined before it began. */
  #batch: number | undefined;
  /** An epoch whose end waits for the validation after it. */
  #ended: EpochNews | undefined;
  readonly #validations: ValidationNews[] = [];
  #hasStopped = false;
  #hasFailed = false;

  constructor(o: CallbackDriverOptions) {
    this.#o = o;
    if (o.model) {
      build(o.model);
      o.model.stopTraining = false;
    }
    for (const callback of o.callbacks as readonly TfjsCallback[]) {
      callback.setParams?.(o.params);
      if (o.model) callback.setModel?.(o.model);
    }
    this.#told = this.#call("onTrainBegin").catch((error: unknown) => this.#fail(error));
  }

  take({ news }: JobStatus): void {
    if (news && this.#o.callbacks.length > 0) this.#queue(() => this.#tell(news));
  }

  /** Tells the rest; the job is over. */
  async end(): Promise<void> {
    this.#queue(async () => {
      await this.#endEpoch();
      await this.#call("onTrainEnd");
    });
    await this.#told;
  }

  #queue(tell: () => Promise<void>): void {
    this.#told = this.#told
      .then(() => (this.#hasFailed ? undefined : tell()))
      .catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#hasFailed = true;
    this.#o.onError(error);
  }

  async #tell({ steps, epochs, validations }: JobNews): Promise<void> {
    this.#validations.push(...validations);
    let at = 0;
    for (const epoch of epochs) {
      while (at < steps.length && steps[at]!.step <= epoch.step) await this.#tellStep(steps[at++]!);
      this.#ended = epoch;
    }
    while (at < steps.length) await this.#tellStep(steps[at++]!);
    const ended = this.#ended;
    if (ended && validations.some(({ step }) => step === ended.step)) await this.#endEpoch();
  }

  async #tellStep({ loss, samples: size }: StepNews): Promise<void> {
    // Nothing was validated after the epoch before: training went on.
    await this.#endEpoch();
    if (this.#batch === undefined) {
      this.#batch = 0;
      await this.#call("onEpochBegin", this.#epoch);
    }
    const batch = this.#batch++;
    await this.#call("onBatchBegin", batch, { batch, size });
    await this.#call("onBatchEnd", batch, { batch, size, loss });
  }

  async #endEpoch(): Promise<void> {
    const ended = this.#ended;
    if (!ended) return;
    this.#ended = undefined;
    this.#batch = undefined;
    this.#epoch = ended.epoch + 1;
    await this.#call("onEpochEnd", ended.epoch, epochLogs(ended, this.#validations));
  }

  async #call(name: "onTrainBegin" | "onTrainEnd"): Promise<void>;
  async #call(
    name: Exclude<keyof TrainingCallbacks, "onTrainBegin" | "onTrainEnd">,
    at: number,
    logs?: Logs,
  ): Promise<void>;
  async #call(name: keyof TrainingCallbacks, at?: number, logs?: Logs): Promise<void> {
    for (const callback of this.#o.callbacks) {
      const returned: unknown =
        at === undefined
          ? await callback[name as "onTrainBegin"]?.(logs)
          : await callback[name as "onEpochEnd"]?.(at, logs);
      if (this.#o.model?.stopTraining || asksToStop(returned)) this.#stop();
    }
  }

  #stop(): void {
    if (this.#hasStopped) return;
    this.#hasStopped = true;
    this.#o.onStop("stopped by a callback");
  }
}

/** A Sequential model of tfjs refuses to tell or take `stopTraining` before `compile` or `predict` has built it. */
function build(model: object): void {
  const { getClassName, model: built } = model as { getClassName?: () => string; model?: unknown };
  if (getClassName?.call(model) === "Sequential" && !built) (model as { build(): void }).build();
}

function asksToStop(returned: unknown): boolean {
  return (
    typeof returned === "object" && returned !== null && "stopTraining" in returned && returned.stopTraining === true
  );
}
