/**
 * A curve over the steps of a run that stays small however long the run is: when there are too many points, every two
 * neighbours become one, so a point is the exact mean of 1, then 2, then 4, … values. No value is ever dropped.
 */

/** The mean of some neighbouring values. */
export interface CurvePoint {
  /** Of the last value in the mean. */
  readonly step: number;
  readonly mean: number;
  /** When the last value came, in ms since 1970. */
  readonly atMs: number;
}

export interface CurveValue {
  step: number;
  value: number;
  /** What the value counts in a mean, over 0: the samples behind a loss, the seconds behind a speed. */
  weight: number;
  atMs: number;
}

/** Even, so that a full curve halves without a rest. */
const POINTS_MAX = 10_000;

export class Curve {
  readonly #pointsMax: number;
  /** In the order they came; every group but the last is full. */
  #groups: Group[] = [];
  #valuesPerPoint = 1;

  /**
   * @param options.pointsMax even
   * @throws {RangeError} pointsMax is odd, or below 2
   */
  constructor({ pointsMax = POINTS_MAX }: { pointsMax?: number } = {}) {
    if (!Number.isInteger(pointsMax) || pointsMax < 2 || pointsMax % 2 !== 0) {
      throw new RangeError(`pointsMax is ${pointsMax}; give an even whole number from 2`);
    }
    this.#pointsMax = pointsMax;
  }

  /** How many values a point stands for; the last point may stand for fewer. */
  get valuesPerPoint(): number {
    return this.#valuesPerPoint;
  }

  /** At most as many as the curve may have, in order. */
  get points(): CurvePoint[] {
    return this.#groups.map(pointOf);
  }

  /** At most `countMax` points, each the mean of equally many neighbours (the last one of fewer). */
  thinned(countMax: number): CurvePoint[] {
    const size = Math.max(1, Math.ceil(this.#groups.length / countMax));
    const count = Math.ceil(this.#groups.length / size);
    return Array.from({ length: count }, (_, i) =>
      pointOf(this.#groups.slice(i * size, (i + 1) * size).reduce((all, group) => joined(all, group))),
    );
  }

  add({ step, value, weight, atMs }: CurveValue): void {
    const added = { step, sum: value * weight, weight, count: 1, atMs };
    const last = this.#groups.at(-1);
    if (last && last.count < this.#valuesPerPoint) {
      this.#groups[this.#groups.length - 1] = joined(last, added);
      return;
    }
    if (this.#groups.length === this.#pointsMax) this.#halve();
    this.#groups.push(added);
  }

  #halve(): void {
    const halves: Group[] = [];
    for (let i = 0; i < this.#groups.length; i += 2) halves.push(joined(this.#groups[i]!, this.#groups[i + 1]!));
    this.#groups = halves;
    this.#valuesPerPoint *= 2;
  }
}

interface Group {
  readonly step: number;
  /** Of value times weight. */
  readonly sum: number;
  readonly weight: number;
  readonly count: number;
  readonly atMs: number;
}

const pointOf = ({ step, sum, weight, atMs }: Group): CurvePoint => ({ step, mean: sum / weight, atMs });

const joined = (a: Group, b: Group): Group => ({
  step: b.step,
  sum: a.sum + b.sum,
  weight: a.weight + b.weight,
  count: a.count + b.count,
  atMs: b.atMs,
});
