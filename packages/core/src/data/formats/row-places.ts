/**
 * Where the rows of a table were read: file and line. Lines mostly follow one on another, so only the places where
 * they do not are kept: where a file begins, after a blank line, after a cell with line ends in it.
 */
export class RowPlaces {
  /** Row i of a jump is in file `#files[i]`, line `#lines[i]`. */
  readonly #rows: number[] = [];
  readonly #lines: number[] = [];
  readonly #files: string[] = [];
  #nextLine = -1;

  /** Rows are noted in order, every one. */
  note(row: number, file: string, line: number): void {
    if (line !== this.#nextLine || file !== this.#files.at(-1)) {
      this.#rows.push(row);
      this.#lines.push(line);
      this.#files.push(file);
    }
    this.#nextLine = line + 1;
  }

  /** As `train.csv:1042`. */
  placeOf(row: number): string {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#rows[middle]! <= row) low = middle + 1;
      else high = middle;
    }
    const jump = low - 1;
    return `${this.#files[jump]}:${this.#lines[jump]! + row - this.#rows[jump]!}`;
  }
}
