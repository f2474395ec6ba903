/**
 * Fields as keys, compiled against the columns of a table.
 *
 * What a key is, exactly, so that any reader in any language makes the same ones:
 * - a string: the first 64 bits of MurmurHash3_x86_128 over (the salt's 16 bytes, its UTF-8);
 * - an integer column, a date part, a bucket, a quantile: the integer itself, int64 two's complement;
 * - a hash or cross: the first 64 bits of MurmurHash3_x86_128 over (the salt's 16 bytes, the 8 little-endian bytes
 *   of each part), where the parts inside are made with the empty salt.
 *
 * The salt is the hash of the field's name, or of the one given to hash(), so strings, hashes and crosses of two fields may share one embedding
 * table without meeting. Integers carry no salt: hour 3 and day 3 are one row of a shared table, unless the fields
 * are `hash("…")`.
 */
import { cellsOf, type CellContext } from "./cells.ts";
import { codesOf, type ColumnCodes } from "./column-codes.ts";
import type { FieldSpec } from "../spec/data-spec.ts";
import { hashPairs, saltOf, type Salt } from "./murmur3.ts";
import { RECORD_CODES_MAX, type RowRecordsBuilder } from "./row-records.ts";

/** The rows of one batch, and what the keys of its fields have in common: read once, dropped with the batch. */
export interface KeyBatch {
  readonly rows: Uint32Array;
  readonly records: Uint16Array;
  readonly recordWidth: number;
  readonly codes: Map<KeyNode, Uint32Array>;
  readonly pairs: Map<KeyNode, Uint32Array>;
}

/** Keys of a batch as u32 pairs, length 2B; the caller owns them. */
export type KeyReader = (batch: KeyBatch) => Uint32Array;

/** A field, or a part of one, ready to read. Nodes made from equal specs are one object. */
export type KeyNode =
  /** Few values: a code per row, and a table of values per salt. */
  | { kind: "coded"; size: number; codes: (batch: KeyBatch) => Uint32Array; values: (salt: Salt) => Uint32Array }
  /** Many values: computed for each row. */
  | { kind: "wide"; pairs: (batch: KeyBatch, salt: Salt) => Uint32Array };
type CodedNode = Extract<KeyNode, { kind: "coded" }>;

/** Crosses with fewer combinations than this are hashed once per combination: 65,536 pairs fill half an L2 cache. */
const COMBINATIONS_MAX = 65_536;

const NO_SALT = saltOf("");

export interface NodeRequest {
  spec: FieldSpec;
  context: CellContext;
  nodes: Map<string, KeyNode>;
  recordsBuilder: RowRecordsBuilder;
}

/** @throws {ClusterError} BAD_DATA: a column is missing or of a wrong sort */
export function nodeOf(request: NodeRequest): KeyNode {
  const identity = JSON.stringify(request.spec);
  let node = request.nodes.get(identity);
  if (node === undefined) {
    node = newNode(request);
    request.nodes.set(identity, node);
  }
  return node;
}

function newNode(request: NodeRequest): KeyNode {
  const { spec, context } = request;
  const { rows } = context.table;
  switch (spec.kind) {
    case "hash": {
      const node = crossNode([nodeOf({ ...request, spec: spec.of })], rows);
      return spec.salt === undefined ? node : salted(node, saltOf(spec.salt));
    }
    case "cross":
      return crossNode(
        spec.of.map((part) => nodeOf({ ...request, spec: part })),
        rows,
      );
    default:
      return nodeOfCodes(request, codesOf(cellsOf(spec, context), spec, context));
  }
}

/** A node with a salt of its own, whatever field it is in. */
function salted(node: KeyNode, salt: Salt): KeyNode {
  if (node.kind === "wide") return { kind: "wide", pairs: (batch) => node.pairs(batch, salt) };
  return { ...node, values: () => node.values(salt) };
}

function nodeOfCodes({ recordsBuilder }: Pick<NodeRequest, "recordsBuilder">, source: ColumnCodes): KeyNode {
  if (source.kind === "wide") return { kind: "wide", pairs: (batch) => gatherPairs(source.pairs, batch.rows) };
  const { size, values } = source;
  if (size > RECORD_CODES_MAX)
    return { kind: "coded", size, values, codes: (batch) => gatherCodes(source.codes, batch.rows) };
  const place = recordsBuilder.add(source.codes);
  return { kind: "coded", size, values, codes: (batch) => codesAt(batch, place) };
}

/** @param rows of the table: hashing more combinations than it has rows would be waste */
function crossNode(parts: readonly KeyNode[], rows: number): KeyNode {
  const coded = parts.filter((part): part is CodedNode => part.kind === "coded");
  const combinations = coded.reduce((product, part) => product * part.size, 1);
  const fits = combinations <= rows && (parts.length === 1 || combinations <= COMBINATIONS_MAX);
  if (coded.length === parts.length && fits) return combinationNode(coded, combinations);

  return {
    kind: "wide",
    pairs(batch, salt) {
      const out = new Uint32Array(2 * batch.rows.length);
      const values = parts.map((part) => partPairs(part, batch));
      hashPairs(salt, values, batch.rows.length, out);
      return out;
    },
  };
}

/** The combination of codes (c₁ … cₙ) has the code c₁ + size₁ · (c₂ + size₂ · …). */
function combinationNode(parts: readonly CodedNode[], size: number): CodedNode {
  return {
    kind: "coded",
    size,
    codes(batch) {
      const last = parts.length - 1;
      const codes = codesIn(batch, parts[last]!).slice();
      for (let p = last - 1; p >= 0; p--) appendCodes(codes, codesIn(batch, parts[p]!), parts[p]!.size);
      return codes;
    },
    values(salt) {
      let stride = 1;
      const values = parts.map((part) => {
        const spread = spreadPairs({ pairs: part.values(NO_SALT), size: part.size, stride, length: size });
        stride *= part.size;
        return spread;
      });
      const out = new Uint32Array(2 * size);
      hashPairs(salt, values, size, out);
      return out;
    },
  };
}

export function keyReaderOf(node: KeyNode, salt: Salt): KeyReader {
  if (node.kind === "wide") return (batch) => node.pairs(batch, salt);
  const values = node.values(salt);
  return (batch) => gatherPairs(values, codesIn(batch, node));
}

/** The values of a node inside a cross, made once a batch. */
function partPairs(node: KeyNode, batch: KeyBatch): Uint32Array {
  let pairs = batch.pairs.get(node);
  if (pairs === undefined) {
    pairs = node.kind === "wide" ? node.pairs(batch, NO_SALT) : gatherPairs(unsaltedValues(node), codesIn(batch, node));
    batch.pairs.set(node, pairs);
  }
  return pairs;
}

const unsalted = new WeakMap<CodedNode, Uint32Array>();

function unsaltedValues(node: CodedNode): Uint32Array {
  let values = unsalted.get(node);
  if (values === undefined) {
    values = node.values(NO_SALT);
    unsalted.set(node, values);
  }
  return values;
}

function codesIn(batch: KeyBatch, node: CodedNode): Uint32Array {
  let codes = batch.codes.get(node);
  if (codes === undefined) {
    codes = node.codes(batch);
    batch.codes.set(node, codes);
  }
  return codes;
}

function codesAt({ rows, records, recordWidth }: KeyBatch, place: number): Uint32Array {
  const out = new Uint32Array(rows.length);
  for (let i = 0, at = place; i < out.length; i++, at += recordWidth) out[i] = records[at]!;
  return out;
}

function gatherCodes(codes: Uint8Array | Uint16Array | Uint32Array, rows: Uint32Array): Uint32Array {
  const out = new Uint32Array(rows.length);
  for (let i = 0; i < rows.length; i++) out[i] = codes[rows[i]!]!;
  return out;
}

function gatherPairs(pairs: Uint32Array, at: Uint32Array): Uint32Array {
  const out = new Uint32Array(2 * at.length);
  for (let i = 0; i < at.length; i++) {
    const from = 2 * at[i]!;
    out[2 * i] = pairs[from]!;
    out[2 * i + 1] = pairs[from + 1]!;
  }
  return out;
}

function appendCodes(codes: Uint32Array, low: Uint32Array, size: number): void {
  for (let i = 0; i < codes.length; i++) codes[i] = Math.imul(codes[i]!, size) + low[i]!;
}

/** The value a part has in each of `length` combinations: each value `stride` times, over and over. */
function spreadPairs(of: { pairs: Uint32Array; size: number; stride: number; length: number }): Uint32Array {
  const at = new Uint32Array(of.length);
  for (let i = 0; i < of.length; i++) at[i] = Math.floor(i / of.stride) % of.size;
  return gatherPairs(of.pairs, at);
}
