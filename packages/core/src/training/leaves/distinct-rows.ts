/**
 * The rows of a task, each once. Samples have rows in common, so a volunteer is sent each row once, with the number of
 * its row for every place, and sends back one sum of gradients for each row. A row that two uses have counts as two:
 * gradients of one may be far longer than the other's.
 *
 * To its reducer a sum is as many equal gradients as the row has places. Of all gradients of single samples that have
 * this sum these are the shortest (Cauchy and Schwarz), one by one and together. So whatever bounds the gradients of
 * samples leaves a volunteer that lies just the sums that it could have brought about with gradients of single samples.
 *
 * Shapes: b samples, E floats of a sample's rows, U uses of R places for them, D distinct rows, F floats of all these.
 */
import { NO_ROW } from "../../embedding/index.ts";
import { assert } from "../../errors.ts";
import type { StepInput } from "../job/gradient-model.ts";

/** Rows that a use has of a sample. */
export interface UsePlaces {
  /** One, or as many as a sequence has. */
  readonly places: number;
  /** Floats of a row. */
  readonly width: number;
}

export class DistinctRows {
  /** Of each place's row, counted from 0 in the order in which they first come; `NO_ROW` where it has none: [b, R]. */
  readonly numbers: Uint32Array;
  /** D */
  readonly count: number;
  /** F */
  readonly floats: number;
  readonly #layout: Layout;
  /** How many places have each row, shape [D]. */
  readonly #places: readonly number[];

  /**
   * @param ids of the places' rows, the same for the same row, or `NO_ROW`: shape [b, R]
   * @param uses shape [U]: their places are R
   * @throws {RangeError} places that are not those of whole samples
   */
  constructor({ ids, uses }: { ids: Uint32Array; uses: readonly UsePlaces[] }) {
    const useAt = uses.flatMap(({ places }, u) => Array.from({ length: places }, () => u));
    const R = useAt.length;
    if (R === 0 ? ids.length > 0 : ids.length % R !== 0)
      throw new RangeError(`${ids.length} places cannot be those of samples that have ${R} each`);
    const numbersOf = uses.map(() => new Map<number, number>());
    const [starts, places]: [number[], number[]] = [[], []];
    let floats = 0;
    this.numbers = ids.map((id, i) => {
      if (id === NO_ROW) return NO_ROW;
      const use = useAt[i % R]!;
      let number = numbersOf[use]!.get(id);
      if (number === undefined) {
        number = starts.length;
        numbersOf[use]!.set(id, number);
        starts.push(floats);
        places.push(0);
        floats += uses[use]!.width;
      }
      places[number]!++;
      return number;
    });
    this.count = starts.length;
    this.floats = floats;
    const widths = Uint32Array.from(useAt, (use) => uses[use]!.width);
    this.#layout = { numbers: this.numbers, starts: Uint32Array.from(starts), widths };
    this.#places = places;
  }

  /** Of the samples of a step; where nothing says which rows are the same, each is one of its own. */
  static of({ rowIds, samples }: Pick<StepInput, "rowIds" | "samples">, uses: readonly UsePlaces[]): DistinctRows {
    const R = uses.reduce((sum, { places }) => sum + places, 0);
    return new DistinctRows({ ids: rowIds?.() ?? Uint32Array.from({ length: samples * R }, (_, i) => i), uses });
  }

  /** Each row once: [b, E] → [F]. */
  once(packed: Float32Array): Float32Array {
    const rows = new Float32Array(this.floats);
    gather(this.#layout, packed, rows);
    return rows;
  }

  /** Each row at all its places, and zeros where there is none: [F] → [b, E]. */
  atPlaces(rows: Float32Array): Float32Array {
    const packed = new Float32Array(this.#packedFloats);
    spread(this.#layout, rows, packed);
    return packed;
  }

  /** The sum over each row's places, one after another: [b, E] → [F]. */
  sums(packed: Float32Array): Float32Array {
    assert(packed.length === this.#packedFloats, `${packed.length} floats of rows, not ${this.#packedFloats}`);
    const sums = new Float32Array(this.floats);
    add(this.#layout, packed, sums);
    return sums;
  }

  /** Gradients of samples that have these sums, all of a row the same: [F] → [b, E]. */
  shares(sums: Float32Array): Float32Array {
    const { starts } = this.#layout;
    const shares = sums.slice();
    for (const [number, places] of this.#places.entries()) {
      const end = starts[number + 1] ?? this.floats;
      for (let i = starts[number]!; i < end; i++) shares[i]! /= places;
    }
    return this.atPlaces(shares);
  }

  /** b × E */
  get #packedFloats(): number {
    const { numbers, widths } = this.#layout;
    return widths.reduce((floats, width) => floats + width, 0) * (numbers.length / Math.max(1, widths.length));
  }
}

interface Layout {
  readonly numbers: Uint32Array;
  /** Where each row begins among the F floats, shape [D]. */
  readonly starts: Uint32Array;
  /** Floats of each place of a sample, shape [R]. */
  readonly widths: Uint32Array;
}

// -- the loops -----------------------------------------------------------------------------------------------

function gather({ numbers, starts, widths }: Layout, packed: Float32Array, rows: Float32Array): void {
  const R = widths.length;
  for (let i = 0, at = 0; i < numbers.length; i++) {
    const width = widths[i % R]!;
    const start = starts[numbers[i]!]; // undefined where there is no row
    if (start !== undefined) for (let d = 0; d < width; d++) rows[start + d] = packed[at + d]!;
    at += width;
  }
}

function spread({ numbers, starts, widths }: Layout, rows: Float32Array, packed: Float32Array): void {
  const R = widths.length;
  for (let i = 0, at = 0; i < numbers.length; i++) {
    const width = widths[i % R]!;
    const start = starts[numbers[i]!];
    if (start !== undefined) for (let d = 0; d < width; d++) packed[at + d] = rows[start + d]!;
    at += width;
  }
}

function add({ numbers, starts, widths }: Layout, packed: Float32Array, sums: Float32Array): void {
  const R = widths.length;
  for (let i = 0, at = 0; i < numbers.length; i++) {
    const width = widths[i % R]!;
    const start = starts[numbers[i]!];
    if (start !== undefined) for (let d = 0; d < width; d++) sums[start + d]! += packed[at + d]!;
    at += width;
  }
}
