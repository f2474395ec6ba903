/** The area under the ROC curve from groups of equal scores, ascending: a tied pair counts by half. */
export class RocArea {
  #pairs = 0;
  #negatives = 0;
  #positives = 0;

  /** The next group: the weights of its negatives and positives. */
  add(negatives: number, positives: number): void {
    this.#pairs += positives * (this.#negatives + negatives / 2);
    this.#negatives += negatives;
    this.#positives += positives;
  }

  /** NaN while all samples are of one class. */
  value(): number {
    return this.#pairs / (this.#positives * this.#negatives);
  }
}

/** A float32's bits, made to ascend with its value; −0 is 0. */
export function ascendingBits(bits: number): number {
  if (bits === 0x8000_0000) return 0x8000_0000;
  return (bits >= 0x8000_0000 ? ~bits : bits | 0x8000_0000) >>> 0;
}

/** The bits of float32 values, in place of the values. */
export function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}
