/**
 * A curve over steps that never has too many points: once it is full, neighbours become their mean, weighted by what
 * each stands for, and from then on as many new points are one. So a curve of a million steps costs a canvas no more
 * than one of a thousand, and its beginning is never lost.
 */

/** Points that a canvas some hundred pixels wide can show. */
const POINTS_MAX = 1_024;

interface Point {
  /** The last one that it stands for. */
  step: number;
  /** Of values × weights, and of weights. */
  sum: number;
  weight: number;
  /** How many values it is made of. */
  values: number;
}

export class Curve {
  readonly #pointsMax: number;
  #points: Point[] = [];
  /** So many values make one point. */
  #valuesPerPoint = 1;
  #lastStep = -1;

  constructor({ pointsMax = POINTS_MAX }: { pointsMax?: number } = {}) {
    if (pointsMax < 2) throw new RangeError(`a curve needs 2 points or more, not ${pointsMax}`);
    this.#pointsMax = pointsMax;
  }

  /** Steps ascend: one that is not newer changes nothing, and neither does a value that is no number or has no weight. */
  add({ step, value, weight = 1 }: { step: number; value: number; weight?: number }): void {
    if (step <= this.#lastStep || !Number.isFinite(value) || !(weight > 0)) return;
    this.#lastStep = step;
    const last = this.#points.at(-1);
    if (last && last.values < this.#valuesPerPoint) {
      last.step = step;
      last.sum += value * weight;
      last.weight += weight;
      last.values++;
      return;
    }
    if (this.#points.length === this.#pointsMax) this.#halve();
    this.#points.push({ step, sum: value * weight, weight, values: 1 });
  }

  get steps(): number[] {
    return this.#points.map(({ step }) => step);
  }

  get values(): number[] {
    return this.#points.map(({ sum, weight }) => sum / weight);
  }

  #halve(): void {
    const halves: Point[] = [];
    for (let i = 0; i < this.#points.length; i += 2) {
      const [first, second] = this.#points.slice(i, i + 2) as [Point, Point | undefined];
      halves.push(second ? merged(first, second) : first);
    }
    this.#points = halves;
    this.#valuesPerPoint *= 2;
  }
}

const merged = (a: Point, b: Point): Point => ({
  step: b.step,
  sum: a.sum + b.sum,
  weight: a.weight + b.weight,
  values: a.values + b.values,
});

/** Curves over the same steps: those of any, ascending, and null where a curve has none. */
export function aligned(curves: readonly { label: string; curve: Curve }[]): {
  xs: number[];
  lines: { label: string; values: (number | null)[] }[];
} {
  const xs = [...new Set(curves.flatMap(({ curve }) => curve.steps))].sort((a, b) => a - b);
  const places = new Map(xs.map((x, i) => [x, i]));
  const lines = curves.map(({ label, curve }) => {
    const values: (number | null)[] = xs.map(() => null);
    const { steps, values: known } = curve;
    steps.forEach((step, i) => (values[places.get(step)!] = known[i]!));
    return { label, values };
  });
  return { xs, lines };
}
