/**
 * The area under the ROC curve of float32 scores without any binning: the weight of positives and negatives of every
 * distinct score. It takes 20 bytes for each, 200 MB for ten million; `auc` takes a bounded amount.
 *
 * It lies in sorted runs that are merged pairwise once they are of a size, as in a merge sort: n log n in all. What
 * auc-histogram.ts says of weights holds here.
 */
import { z } from "zod";
import { ascendingBits, bitsOf, RocArea } from "./roc-area.ts";
import { targetAt, type ScoredBatch } from "./scored-batch.ts";

const weightSum = z.number().nonnegative();

export const exactAucStateSchema = z.strictObject({
  /** Bits of the distinct scores, made to ascend with them; the other two arrays are parallel to it. */
  scores: z.array(z.number().int().min(0).max(0xffff_ffff)),
  negatives: z.array(weightSum),
  positives: z.array(weightSum),
});
export type ExactAucState = z.infer<typeof exactAucStateSchema>;

interface Run {
  /** Ascending, each once. */
  scores: Uint32Array;
  negatives: Float64Array;
  positives: Float64Array;
}

/** Score bits and place of a sample share a double: 32 + 21 bits. */
const PLACES = 2 ** 21;

export class ExactAuc {
  /** Each more than twice as long as the one after it. */
  readonly #runs: Run[] = [];

  update(batch: ScoredBatch): void {
    const values = batch.samples * batch.outputs;
    for (let from = 0; from < values; from += PLACES) this.#push(runOf(batch, from, Math.min(values, from + PLACES)));
  }

  /** @param state checked */
  merge({ scores, negatives, positives }: ExactAucState): void {
    this.#push({
      scores: Uint32Array.from(scores),
      negatives: Float64Array.from(negatives),
      positives: Float64Array.from(positives),
    });
  }

  toJSON(): ExactAucState {
    const { scores, negatives, positives } = this.#whole();
    return { scores: [...scores], negatives: [...negatives], positives: [...positives] };
  }

  value(): number {
    const { negatives, positives } = this.#whole();
    const area = new RocArea();
    for (let i = 0; i < negatives.length; i++) area.add(negatives[i]!, positives[i]!);
    return area.value();
  }

  #push(run: Run): void {
    this.#runs.push(run);
    while (this.#runs.length > 1 && this.#runs.at(-2)!.scores.length <= 2 * this.#runs.at(-1)!.scores.length)
      this.#mergeLast();
  }

  #whole(): Run {
    while (this.#runs.length > 1) this.#mergeLast();
    return (
      this.#runs[0] ?? { scores: new Uint32Array(0), negatives: new Float64Array(0), positives: new Float64Array(0) }
    );
  }

  #mergeLast(): void {
    const b = this.#runs.pop()!;
    const a = this.#runs.pop()!;
    this.#runs.push(merged(a, b));
  }
}

/** @throws {TypeError} a malformed state */
export function checkExactAucState({ scores, negatives, positives }: ExactAucState): void {
  if (negatives.length !== scores.length || positives.length !== scores.length) {
    throw new TypeError(
      `exact AUC state has ${scores.length} scores, ${negatives.length} and ${positives.length} counts`,
    );
  }
  const odd = scores.findIndex((score, i) => i > 0 && score <= scores[i - 1]!);
  if (odd !== -1) throw new TypeError(`exact AUC state: scores[${odd}] does not ascend`);
}

/** The sorted run of flat outputs [from, to) of a batch. */
function runOf(batch: ScoredBatch, from: number, to: number): Run {
  const { outputs, weight } = batch;
  const bits = bitsOf(batch.scores);
  const places = new Float64Array(to - from);
  for (let i = from; i < to; i++) places[i - from] = ascendingBits(bits[i]!) * PLACES + (i - from);
  places.sort();
  const run = emptyRun(to - from);
  let length = 0;
  for (const place of places) {
    const score = Math.floor(place / PLACES);
    const i = from + (place - score * PLACES);
    const b = Math.floor(i / outputs);
    const w = weight ? weight[b]! : 1;
    if (w === 0) continue;
    if (length === 0 || run.scores[length - 1] !== score) run.scores[length++] = score;
    const side = targetAt(batch, b, i - b * outputs) === 1 ? run.positives : run.negatives;
    side[length - 1]! += w;
  }
  return cut(run, length);
}

function merged(a: Run, b: Run): Run {
  const run = emptyRun(a.scores.length + b.scores.length);
  let [i, j, length] = [0, 0, 0];
  while (i < a.scores.length || j < b.scores.length) {
    const x = i < a.scores.length ? a.scores[i]! : Infinity;
    const y = j < b.scores.length ? b.scores[j]! : Infinity;
    run.scores[length] = Math.min(x, y);
    if (x <= y) {
      run.negatives[length]! += a.negatives[i]!;
      run.positives[length]! += a.positives[i++]!;
    }
    if (y <= x) {
      run.negatives[length]! += b.negatives[j]!;
      run.positives[length]! += b.positives[j++]!;
    }
    length++;
  }
  return cut(run, length);
}

function emptyRun(length: number): Run {
  return {
    scores: new Uint32Array(length),
    negatives: new Float64Array(length),
    positives: new Float64Array(length),
  };
}

/** The first entries of a run, without the memory of the others. */
function cut(run: Run, length: number): Run {
  if (length === run.scores.length) return run;
  return {
    scores: run.scores.slice(0, length),
    negatives: run.negatives.slice(0, length),
    positives: run.positives.slice(0, length),
  };
}
