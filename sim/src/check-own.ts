/**
 * What one client alone pushes, sets and reads, one after the other, is bit for bit what one thread computes, with the
 * state of an optimizer. It shares the optimizer's arithmetic and the initial values with the cluster, and nothing else.
 */
import { optimizerOf } from "@volary/core/optimizer";
import { initializerOf } from "@volary/core/table";
import { byKey, type PlainRows } from "./check-pushes.ts";
import { describe, type Ledger, type Operation } from "./ledger.ts";
import { PLAIN } from "./plain-tables.ts";

const { dim, id, initializer, optimizer: spec } = PLAIN.own;

/** @param o.seed of the job: the first values come from it */
export function faultsOfOwn({ ledger, rows, seed }: { ledger: Ledger; rows: PlainRows; seed: number }): string[] {
  const operations = ledger.operations.filter(({ table }) => table === "own");
  const faults: string[] = [];
  for (const [key, ofKey] of byKey(operations)) {
    const serial = new SerialRow(key, seed);
    for (const operation of ofKey) {
      // What it became of is unknown; its client leaves the key alone from then on.
      if (operation.outcome !== "done") break;
      const values = valuesAt(operation, key);
      if (operation.kind !== "get") serial.apply(operation.kind, values);
      else if (!same(values, serial.weights))
        faults.push(
          `${describe(operation)} saw [${values.join(", ")}] at key ${key}, not [${serial.weights.join(", ")}]`,
        );
    }
    if (ofKey.some(({ outcome }) => outcome !== "done")) continue;
    const found = rows.get("own")!.get(key);
    const isThere = ofKey.some(({ kind }) => kind !== "get");
    if (isThere ? !found || !same(found, serial.weights) : found)
      faults.push(`row ${key} of table "own" is [${found?.join(", ")}], not [${serial.weights.join(", ")}]`);
  }
  return faults;
}

class SerialRow {
  readonly #rule = optimizerOf(spec);
  readonly #floats = new Float32Array(dim + this.#rule.stateWidth(dim));
  #updates = 0;

  constructor(key: bigint, seed: number) {
    const [low, high] = [Number(key & 0xffff_ffffn), Number(key >> 32n)];
    initializerOf(initializer, { seed, table: id })(low, high, this.#floats, 0, dim);
    this.#rule.initState(this.#floats, 0, dim);
  }

  get weights(): Float32Array {
    return this.#floats.subarray(0, dim);
  }

  apply(kind: "push" | "set", values: Float32Array): void {
    if (kind === "push") {
      this.#rule.update(this.#floats, 0, dim, values, 0, ++this.#updates, Math.fround(spec.learningRate));
      return;
    }
    this.#floats.fill(0);
    this.#floats.set(values);
    this.#rule.initState(this.#floats, 0, dim);
    this.#updates = 0;
  }
}

function valuesAt({ keys, values }: Operation, key: bigint): Float32Array {
  const at = keys.indexOf(key) * dim;
  return values.subarray(at, at + dim);
}

function same(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
