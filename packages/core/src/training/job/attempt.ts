/** How a step is named: its number, and the term whose leader started it. */
export interface Attempt {
  step: number;
  attempt: number;
}

/** A step that is committed: the weighted loss of its samples, summed. */
export interface CommittedStep extends Attempt {
  samples: number;
  lossSum: number;
}
