/** What training was like, step by step, epoch by epoch: gathered from the news of a job, told as tfjs's `History`. */
import type { EpochNews, JobStatus, StepNews, ValidationNews } from "@volary/core/wire";

/** As tfjs's: one number an epoch. */
export interface History {
  /** Numbers of the epochs, from 0. */
  readonly epoch: readonly number[];
  /**
   * `loss`, the mean training loss of each epoch; and `val_loss`, `val_auc`, … of the held-out rows after each epoch
   * that was validated.
   */
  readonly history: Readonly<Record<string, readonly number[]>>;
}

export class RunHistory {
  readonly #steps: StepNews[] = [];
  readonly #epochs: EpochNews[] = [];
  readonly #validations: ValidationNews[] = [];

  take({ news }: JobStatus): void {
    this.#steps.push(...(news?.steps ?? []));
    this.#epochs.push(...(news?.epochs ?? []));
    this.#validations.push(...(news?.validations ?? []));
  }

  /** The training loss of every step. */
  get steps(): readonly StepNews[] {
    return this.#steps;
  }

  /** Every evaluation of the held-out rows, the last one at the end of training. */
  get validations(): readonly ValidationNews[] {
    return this.#validations;
  }

  /** By epochs. */
  get byEpoch(): History {
    const history: Record<string, number[]> = { loss: [] };
    for (const epoch of this.#epochs) {
      for (const [name, value] of Object.entries(epochLogs(epoch, this.#validations)))
        (history[name] ??= []).push(value);
    }
    return { epoch: this.#epochs.map(({ epoch }) => epoch), history };
  }
}

/** What tfjs's callbacks and History call the logs of an epoch. */
export function epochLogs({ step, loss }: EpochNews, validations: readonly ValidationNews[]): Record<string, number> {
  const validation = validations.findLast((each) => each.step === step);
  const held = Object.entries(validation?.metrics ?? {}).map(([name, value]) => [`val_${name}`, value] as const);
  return { loss, ...Object.fromEntries(held) };
}
