/** Fields as float32 for the dense tower. Values are checked once for a table, not while it is read. */
import { leafPlace, numbersOf, valueInWords, type CellContext } from "./cells.ts";
import type { FaultSink } from "./row-faults.ts";
import type { FieldSpec } from "../spec/data-spec.ts";

/**
 * The numbers of every row, float32, shape [rows]. Rows whose number is missing or not finite are marked, and hold 0.
 *
 * @throws {ClusterError} BAD_DATA: strings
 */
export function floatsOf(spec: FieldSpec, context: CellContext): Float32Array {
  // A part may mark a row and go on with some number; what is made of that is none.
  const marked: number[] = [];
  const faults: FaultSink = {
    mark(row, fault) {
      marked.push(row);
      context.faults.mark(row, fault);
    },
  };
  const values = numbersOf(spec, { ...context, faults });
  const floats = new Float32Array(values.length);
  for (let row = 0; row < values.length; row++) {
    const float = Math.fround(values[row]!);
    if (Number.isFinite(float)) floats[row] = float;
    else
      context.faults.mark(
        row,
        () => `${leafPlace(spec, context)} is ${valueInWords(spec, context, row)}; expected a finite number`,
      );
  }
  for (const row of marked) floats[row] = 0;
  return floats;
}

/** The floats of the given rows, `width` each; the caller owns them. */
export function gatherFloats(floats: Float32Array, rows: Uint32Array, width: number): Float32Array {
  const out = new Float32Array(rows.length * width);
  if (width === 1) {
    for (let i = 0; i < rows.length; i++) out[i] = floats[rows[i]!]!;
    return out;
  }
  for (let i = 0, at = 0; i < rows.length; i++) {
    const from = rows[i]! * width;
    for (let j = 0; j < width; j++) out[at++] = floats[from + j]!;
  }
  return out;
}
