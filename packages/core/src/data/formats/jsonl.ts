/**
 * JSON Lines (https://jsonlines.org): an object a line, a member a cell. A member that is absent or null is missing;
 * members nobody asked for are only checked.
 */
import type { ColumnType } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import { TypeGuess } from "./infer-types.ts";
import { blanksEnd, JsonScanner, type JsonKind } from "./json-scanner.ts";
import { RowCells, wrongType, type RowFault, type WantedColumn } from "./row-cells.ts";

const ONE = Uint8Array.of(0x31);
const ZERO = Uint8Array.of(0x30);

export class JsonlParser {
  readonly #columns: readonly WantedColumn[];
  readonly #names: readonly Uint8Array[];
  readonly #cells: RowCells;
  readonly #scanner = new JsonScanner();
  /** Records of one writer name their members in one order: the place the last one was found at, and one on. */
  #expected = 0;

  constructor(columns: readonly WantedColumn[]) {
    this.#columns = columns;
    this.#names = columns.map(({ name }) => new TextEncoder().encode(name));
    this.#cells = new RowCells({ columns });
  }

  get rows(): number {
    return this.#cells.rows;
  }

  get faults(): number {
    return this.#cells.faults;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    let fault: string | undefined;
    this.#expected = 0;
    this.#cells.begin(bytes);
    const broken = eachMember(bytes, from, to, this.#scanner, {
      columnOf: (text, start, end) => this.#columnOf(text, start, end),
      take: (column, value) => {
        fault ??= this.#set(column, value, bytes);
      },
    });
    this.#cells.end(broken ?? fault);
  }

  flush(): void {
    this.#cells.flush();
  }

  take(): { table: ColumnTable; faults: RowFault[] } {
    return this.#cells.take();
  }

  #columnOf(text: Uint8Array, from: number, to: number): number {
    const names = this.#names;
    for (let i = 0; i < names.length; i++) {
      const place = this.#expected + i < names.length ? this.#expected + i : this.#expected + i - names.length;
      if (!isName(names[place]!, text, from, to)) continue;
      this.#expected = place + 1 === names.length ? 0 : place + 1;
      return place;
    }
    return -1;
  }

  #set(place: number, { kind, text, from, to }: JsonScanner, bytes: Uint8Array): string | undefined {
    const column = this.#columns[place]!;
    const isList = column.type.endsWith("[]");
    if (kind === "null") {
      this.#cells.set(place, 0, 0);
      return undefined;
    }
    if (kind === "object" || (kind === "array") !== isList) return wrongType(column, text, from, to);
    const isNumber = (kind === "true" || kind === "false") && column.type !== "string";
    if (isNumber) this.#cells.setText(place, kind === "true" ? ONE : ZERO);
    else if (text === bytes) this.#cells.set(place, from, to);
    else this.#cells.setText(place, text);
    return undefined;
  }
}

/** What the members of the records hold, by name. */
export function jsonlKinds(records: Iterator<Uint8Array, undefined>): Map<string, MemberGuess> {
  const guesses = new Map<string, MemberGuess>();
  const scanner = new JsonScanner();
  const names: string[] = [];
  for (let next = records.next(); next.done !== true; next = records.next()) {
    const record = next.value;
    eachMember(record, 0, record.length, scanner, {
      columnOf: (text, from, to) => names.push(new TextDecoder().decode(text.subarray(from, to))) - 1,
      take: (column, value) => {
        const name = names[column]!;
        if (!guesses.has(name)) guesses.set(name, new MemberGuess());
        guesses.get(name)!.see(value);
      },
    });
  }
  return guesses;
}

/** A column of JSON values: of scalars or of lists. */
class MemberGuess {
  readonly #cells = new TypeGuess();
  readonly #elements = new TypeGuess();
  /** Objects, and lists of lists, are no cells. */
  isReadable = true;

  see({ kind, text, from, to }: JsonScanner): void {
    if (kind === "null") return;
    if (kind === "object") {
      this.isReadable = false;
      return;
    }
    if (kind === "array") {
      this.#cells.seeList();
      const elements = this.#elements;
      const scanner = new JsonScanner();
      this.isReadable &&= scanner.elements(text, from, to, {
        add(bytes, start, end) {
          seeScalar(elements, scanner.kind, bytes, start, end);
          return true;
        },
      });
    } else seeScalar(this.#cells, kind, text, from, to);
  }

  type(): ColumnType {
    if (!this.#cells.isList) return this.#cells.type();
    const element = this.#elements.type();
    return element === "timestamp" ? "string[]" : `${element}[]`;
  }
}

function seeScalar(guess: TypeGuess, kind: JsonKind, text: Uint8Array, from: number, to: number): void {
  if (kind === "true" || kind === "false") guess.see(ONE, 0, 1);
  else if (kind === "number") guess.see(text, from, to);
  else guess.seeText(text, from, to);
}

interface MemberSink {
  /** −1 for a member that is not wanted. */
  columnOf(text: Uint8Array, from: number, to: number): number;
  take(column: number, value: JsonScanner): void;
}

/** @returns what is wrong with the record */
function eachMember(
  bytes: Uint8Array,
  from: number,
  to: number,
  scanner: JsonScanner,
  sink: MemberSink,
): string | undefined {
  let at = blanksEnd(bytes, from, to);
  if (at >= to || bytes[at] !== 0x7b) return 'expected a JSON object, as {"age": 31}';
  at = blanksEnd(bytes, at + 1, to);
  const isEmpty = at < to && bytes[at] === 0x7d;
  if (isEmpty) at++;
  while (!isEmpty) {
    at = scanner.value(bytes, at, to);
    if (at < 0 || scanner.kind !== "string") return at < 0 ? broken(scanner, from) : "broken JSON: a name was expected";
    const column = sink.columnOf(scanner.text, scanner.from, scanner.to);
    at = blanksEnd(bytes, at, to);
    if (at >= to || bytes[at] !== 0x3a) return `broken JSON at column ${at - from + 1}: ":" was expected`;
    at = scanner.value(bytes, at + 1, to);
    if (at < 0) return broken(scanner, from);
    if (column >= 0) sink.take(column, scanner);
    at = blanksEnd(bytes, at, to);
    if (at < to && bytes[at] === 0x7d) {
      at++;
      break;
    }
    if (at >= to || bytes[at] !== 0x2c) return `broken JSON at column ${at - from + 1}: "," or "}" was expected`;
    at++;
  }
  if (blanksEnd(bytes, at, to) < to) return `broken JSON at column ${at - from + 1}: text after the object`;
  return undefined;
}

const broken = ({ fault, faultAt }: JsonScanner, from: number): string =>
  `broken JSON at column ${faultAt - from + 1}: ${fault}`;

function isName(name: Uint8Array, text: Uint8Array, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let i = 0; i < name.length; i++) if (name[i] !== text[from + i]) return false;
  return true;
}
