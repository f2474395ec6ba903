/**
 * The tables of Adam's bias corrections in an arena: 1 − betaᵗ for t = 1, 2 …, as the kernel reads them. All tables of
 * one beta in an arena share one; it is never given back, and takes 256 KB at most.
 */
import type { Arena } from "./arena.ts";
import { extentBytes } from "./extents.ts";

/** Powers kept in a table; a row updated more often takes the slower way. */
const TABLE_MAX = 65_536;

export interface AdamCorrections {
  readonly at: number;
  readonly length: number;
}

const known = new WeakMap<Arena, Map<number, AdamCorrections>>();

/** The table of a beta, made when it is first asked for. */
export function adamCorrectionsOf(arena: Arena, beta: number): AdamCorrections {
  let ofArena = known.get(arena);
  if (!ofArena) known.set(arena, (ofArena = new Map()));
  let corrections = ofArena.get(beta);
  if (!corrections) ofArena.set(beta, (corrections = write(arena, beta)));
  return corrections;
}

function write(arena: Arena, beta: number): AdamCorrections {
  const room = 4 * TABLE_MAX;
  const at = arena.allocate(room);
  const length = arena.kernels.adamCorrections(beta, at, TABLE_MAX);
  const taken = extentBytes(4 * length);
  if (taken < room) arena.free(at + taken, room - taken);
  return { at, length };
}
