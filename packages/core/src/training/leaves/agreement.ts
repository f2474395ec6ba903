/**
 * Who points where the others do not? Samples are dealt out at random, so honest gradients of a step differ by noise
 * alone, and their angles to the sum of all others are below 90° more often than above, the more so the more samples.
 * A flipped sign is as long as the truth, so no bound on lengths finds it; but it points the other way, step after step.
 *
 * For each volunteer, cosines with the sum of the others (each part counting by the root of its samples, whatever its
 * length) are gathered, the newest weighing most; their sum, over the root of the sum of their squares, is what chance
 * makes as small as −2 about twice in a hundred times where there is nothing in common at all, and hardly ever for honest
 * gradients. Below that a volunteer is suspected. That is no proof: its update is computed again, which is (`audit.ts`).
 *
 * Shapes: b samples of a part, E floats of a sample's rows, n dense floats.
 */
import type { StepGradients } from "../job/gradient-model.ts";

/** What a step's cosine weighs in the next one's sums. */
const FADE = 0.97;
/** Suspicion begins here, and not before so many steps. */
const SUSPECT = -2;
const STEPS_MIN = 4;

/** Gradients of some samples of a step. */
export interface AgreementPart {
  /** Undefined for what the reducer computed itself. */
  readonly volunteer: number | undefined;
  readonly samples: number;
  readonly gradients: Pick<StepGradients, "rowGrads" | "denseGrads">;
}

/** Of the cosines of one volunteer. */
interface Record {
  steps: number;
  sum: number;
  squares: number;
}

export class Agreement {
  readonly #dense = new Map<number, Record>();
  /** Of the means over samples of row gradients, so that who tells the truth of one kind only is found too. */
  readonly #rows = new Map<number, Record>();

  /**
   * Looks at the parts of one step.
   *
   * @param parts finite, of [b, E] and [n]; only read
   * @returns volunteers whose update is to be computed again: for those it begins anew
   */
  suspects(parts: readonly AgreementPart[]): Set<number> {
    const some = parts.filter(({ samples }) => samples > 0);
    const suspects = new Set<number>();
    for (const [records, vectors] of [
      [this.#dense, some.map(({ gradients }) => gradients.denseGrads)],
      [this.#rows, some.map(meanRow)],
    ] as const) {
      const cosines = cosinesWithOthers(vectors, some);
      for (const [i, { volunteer }] of some.entries()) {
        if (volunteer !== undefined && follow(records, volunteer, cosines[i]!)) suspects.add(volunteer);
      }
    }
    for (const volunteer of suspects) this.forget(volunteer);
    return suspects;
  }

  /** The volunteer has gone, or is looked at afresh. */
  forget(volunteer: number): void {
    this.#dense.delete(volunteer);
    this.#rows.delete(volunteer);
  }
}

/** @returns is it suspected by now? */
function follow(records: Map<number, Record>, volunteer: number, cosine: number): boolean {
  const { steps, sum, squares } = records.get(volunteer) ?? { steps: 0, sum: 0, squares: 0 };
  const now = { steps: steps + 1, sum: FADE * sum + cosine, squares: FADE * squares + cosine * cosine };
  records.set(volunteer, now);
  return now.steps >= STEPS_MIN && now.sum < SUSPECT * Math.sqrt(now.squares);
}

/** The mean over samples: [E]. */
function meanRow({ samples, gradients: { rowGrads } }: AgreementPart): Float32Array {
  const E = rowGrads.length / samples;
  const mean = new Float32Array(E);
  for (let at = 0; at < rowGrads.length; at += E) for (let i = 0; i < E; i++) mean[i]! += rowGrads[at + i]!;
  return mean;
}

/** Of each vector with the sum of the others, all as long as the roots of their samples; 0 where either is 0. */
function cosinesWithOthers(vectors: readonly Float32Array[], parts: readonly AgreementPart[]): number[] {
  const weights = vectors.map((vector, p) => {
    const length = Math.sqrt(dot(vector, vector));
    return length > 0 ? Math.sqrt(parts[p]!.samples) / length : 0;
  });
  const sum = new Float64Array(vectors[0]?.length ?? 0);
  for (const [p, vector] of vectors.entries()) {
    const weight = weights[p]!;
    for (let i = 0; i < sum.length; i++) sum[i]! += weight * vector[i]!;
  }
  const sumSquare = dot(sum, sum);
  return vectors.map((vector, p) => {
    const own = parts[p]!.samples;
    const along = weights[p]! * dot(vector, sum);
    const others = Math.sqrt(Math.max(0, sumSquare - 2 * along + own));
    return weights[p] === 0 || others < 1e-6 * Math.sqrt(own) ? 0 : (along - own) / (Math.sqrt(own) * others);
  });
}

/** In float64. */
function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
