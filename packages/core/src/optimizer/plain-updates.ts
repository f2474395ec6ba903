/**
 * Server updates of tables that hold no weights: what a push does to a row where it is no gradient. They have no
 * numbers to set, so a name is their whole spec.
 *
 *     sum    row += values
 *     count  the same; a client pushes how often each key occurs (exact up to 2²⁴, float32's whole numbers)
 *     max    row = max(row, values); a row begins at its initial value
 *     set    row = values
 */
import type { Optimizer } from "./optimizer.ts";

export const PLAIN_UPDATES = ["sum", "count", "max", "set"] as const;
export type PlainUpdate = (typeof PLAIN_UPDATES)[number];

/** Is a name one of {@link PLAIN_UPDATES}? */
export function isPlainUpdate(name: string): name is PlainUpdate {
  return (PLAIN_UPDATES as readonly string[]).includes(name);
}

export function plainUpdateOf(name: PlainUpdate): Optimizer {
  return { stateWidth: () => 0, initState: () => {}, update: UPDATES[name] };
}

const UPDATES = { sum: add, count: add, max, set } satisfies Record<PlainUpdate, Optimizer["update"]>;

function add(rows: Float32Array, at: number, dim: number, values: Float32Array, valuesAt: number): void {
  for (let i = 0; i < dim; i++) rows[at + i] = rows[at + i]! + values[valuesAt + i]!;
}

function max(rows: Float32Array, at: number, dim: number, values: Float32Array, valuesAt: number): void {
  for (let i = 0; i < dim; i++) rows[at + i] = Math.max(rows[at + i]!, values[valuesAt + i]!);
}

function set(rows: Float32Array, at: number, dim: number, values: Float32Array, valuesAt: number): void {
  for (let i = 0; i < dim; i++) rows[at + i] = values[valuesAt + i]!;
}
