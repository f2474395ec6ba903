/**
 * The binary frame: one grammar for every message that carries keys or numbers.
 *
 * A fixed little-endian header of 64 bytes, then, where a flag says so, the 16-byte name of a key list, then six
 * sections, or seven where another flag says so, each padded to 8 bytes:
 *
 *     tables       u32[T]      table ids
 *     partitions   u32[S]      one per segment
 *     generations  u32[S]
 *     sequences    u32[S]      in what travels along a chain of replicas
 *     counts       u32[S × T]  keys of segment s in table t (row-major)
 *     keys         u64[K]      segment by segment, table by table, ascending within
 *     values       f32[V], bf16[V], or V bytes of int8 rows, in key order
 *
 * A frame with a name and no sections has those of the list of that name (`key-lists.ts`).
 *
 * Segments per partition let a server refuse just the stale ones (Li et al., OSDI 2014, §4); all tables of a
 * step share one frame. Every length is checked against {@link LIMITS} and the byte length before a view is made.
 */
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { ValueDtype } from "../compression/index.ts";
import { isKeyed, isSequenced, OPCODES, opcodeOf, type Opcode } from "./opcodes.ts";

const FRAME_MAGIC = 0x4c56; // "VL"
export const FRAME_VERSION = 3;
export const HEADER_BYTES = 64;
export const KEY_LIST_NAME_BYTES = 16;

/** Cursor of the last reply of an export. */
export const END_OF_EXPORT = 0xffff_ffff;

/** Written numbers, never reused. */
export const DTYPES = { float32: 1, bfloat16: 2, int8: 3 } as const satisfies Record<ValueDtype, number>;

const DTYPE_NAMES = new Map<number, ValueDtype>(Object.entries(DTYPES).map(([name, id]) => [id, name as ValueDtype]));

/** Bytes of what V counts: int8 rows have a scale and a minimum of their own, so they are counted in bytes. */
const VALUE_BYTES = { float32: 4, bfloat16: 2, int8: 1 } as const satisfies Record<ValueDtype, number>;

/** The name of a key list follows the header. */
const FLAG_KEY_LIST = 1;
/** More parts of this reply follow. */
const FLAG_PARTIAL = 2;
/** There is a section of sequence numbers. */
const FLAG_SEQUENCES = 4;

/** What each header field means depends little on the opcode; see docs/protocol.md. */
export interface FrameHeader {
  opcode: Opcode;
  /** Chosen by the asker, echoed in the reply. */
  requestId: number;
  job: number;
  /** The one table of an export; the chunk of a reduce frame. */
  table: number;
  /** Of a step's pull or push: `heads` of the partition map it was made by. */
  generation: number;
  step: number;
  attempt: number;
  term: number;
  /** The sender's slot, or rank in a reduce frame. */
  slot: number;
  /**
   * Of a staged step, how many there are; of a batch that is pushed directly, how many make a step; 1 in a pull that any
   * replica may answer, and in a reduce frame of floats that travel exactly beside others that do not.
   */
  slots: number;
  /** Cursor of an export; hop of a reduce frame; of a part of a pull's reply, the floats before it. */
  cursor: number;
}

export interface Frame extends FrameHeader {
  /** What the values are; in a pull, what those of its reply shall be. */
  dtype: ValueDtype;
  /** More parts of this reply follow. */
  partial: boolean;
  /** Name of the key list that the sections are, 16 bytes; empty where it has none. */
  keyList: Uint8Array;
  tables: Uint32Array;
  partitions: Uint32Array;
  generations: Uint32Array;
  /** Place of each segment in the log of its partition; empty in what does not travel along a chain. */
  sequences: Uint32Array;
  counts: Uint32Array;
  /** 64-bit keys as little-endian pairs: low word at 2i, high word at 2i + 1. Length 2K. */
  keys: Uint32Array;
  /** Empty unless the dtype is float32. */
  values: Float32Array;
  /** The values of any other dtype: bf16, or int8 rows as `compression/` makes them. */
  coded: Uint8Array;
  /**
   * For encoding: this many bytes before `values` (or `coded`), and those that pad them to 8 behind, are free, so that
   * the frame is written where its values lie instead of being copied.
   */
  headRoom?: number;
  /**
   * For sending: `values` (or `coded`) stay as they are until the link has sent them, so that a socket that can sends
   * them from where they lie.
   */
  lent?: boolean;
}

const EMPTY_U32 = new Uint32Array(0);
const EMPTY_F32 = new Float32Array(0);
const EMPTY_U8 = new Uint8Array(0);

/** A frame with defaults filled in, for encoding. */
export function frame(fields: Partial<Frame> & { opcode: Opcode }): Frame {
  return {
    requestId: 0,
    job: 0,
    table: 0,
    generation: 0,
    step: 0,
    attempt: 0,
    term: 0,
    slot: 0,
    slots: 0,
    cursor: 0,
    dtype: "float32",
    partial: false,
    keyList: EMPTY_U8,
    tables: EMPTY_U32,
    partitions: EMPTY_U32,
    generations: EMPTY_U32,
    sequences: EMPTY_U32,
    counts: EMPTY_U32,
    keys: EMPTY_U32,
    values: EMPTY_F32,
    coded: EMPTY_U8,
    ...fields,
  };
}

/** What a frame holds, in arrays of its own: those of one that arrives may be views of memory that is used again. */
export function copyOfFrame(f: Frame): Frame {
  return {
    ...f,
    keyList: new Uint8Array(f.keyList),
    tables: new Uint32Array(f.tables),
    partitions: new Uint32Array(f.partitions),
    generations: new Uint32Array(f.generations),
    sequences: new Uint32Array(f.sequences),
    counts: new Uint32Array(f.counts),
    keys: new Uint32Array(f.keys),
    values: new Float32Array(f.values),
    coded: new Uint8Array(f.coded),
  };
}

const pad8 = (bytes: number): number => Math.ceil(bytes / 8) * 8;

/** Lengths of the parts of a frame, as its header says them. */
interface Lengths {
  /** Bytes of the key list's name. */
  name: number;
  /** Are there sequence numbers? */
  sequenced: boolean;
  T: number;
  S: number;
  K: number;
  V: number;
  dtype: ValueDtype;
}

/** Bytes of a frame before its values. */
function headBytes({ name, sequenced, T, S, K }: Lengths): number {
  return HEADER_BYTES + name + pad8(4 * T) + (sequenced ? 3 : 2) * pad8(4 * S) + pad8(4 * S * T) + 8 * K;
}

function frameBytes(lengths: Lengths): number {
  return headBytes(lengths) + pad8(VALUE_BYTES[lengths.dtype] * lengths.V);
}

/**
 * Encodes a frame into one buffer, or, where it has head room enough, around its values.
 *
 * @param allocate gives the buffer, whose contents may be anything; a new one by default
 * @throws {RangeError} when the frame is over a limit of `limits.ts`, or does not fit its format
 */
export function encodeFrame(
  f: Frame,
  allocate: (bytes: number) => Uint8Array<ArrayBuffer> = (bytes) => new Uint8Array(bytes),
): Uint8Array<ArrayBuffer> {
  const body = bodyOf(f);
  const lengths = checkedLengths(f, body);
  const head = headBytes(lengths);
  const total = frameBytes(lengths);
  const around = roomAround(f, body, { head, total });
  const bytes = around ?? allocate(total);
  writeHead(bytes, f, lengths);
  if (!around) bytes.set(body, head);
  bytes.fill(0, head + body.length);
  return bytes;
}

/**
 * Encodes what of a frame is before its values, which are its other half.
 *
 * @returns undefined where values need padding, so that these two are not the whole frame
 * @throws {RangeError} as {@link encodeFrame}
 */
export function encodeHead(f: Frame): { head: Uint8Array<ArrayBuffer>; body: Uint8Array<ArrayBuffer> } | undefined {
  const body = bodyOf(f);
  const lengths = checkedLengths(f, body);
  if (body.length % 8 !== 0 || !(body.buffer instanceof ArrayBuffer)) return undefined;
  const head = new Uint8Array(headBytes(lengths));
  writeHead(head, f, lengths);
  return { head, body: body as Uint8Array<ArrayBuffer> };
}

function checkedLengths(f: Frame, body: Uint8Array): Lengths {
  const lengths = lengthsOf(f, body);
  const fault = countsFault(lengths) ?? logFault(f.opcode, lengths) ?? shapeFault(f) ?? headerFault(f);
  if (fault) throw new RangeError(`cannot encode ${f.opcode} frame: ${fault}`);
  return lengths;
}

/** Writes all that is before the values, padding included. */
function writeHead(bytes: Uint8Array, f: Frame, lengths: Lengths): void {
  writeHeader(new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES), f, lengths);
  bytes.set(f.keyList, HEADER_BYTES);
  let at = HEADER_BYTES + f.keyList.length;
  for (const section of [f.tables, f.partitions, f.generations, f.sequences, f.counts, f.keys]) {
    if (section.length > 0) bytes.set(bytesOf(section), at);
    bytes.fill(0, at + section.byteLength, at + pad8(section.byteLength));
    at += pad8(section.byteLength);
  }
}

/** The bytes around the values of a frame that are its own; undefined where they are too few. */
function roomAround(
  { headRoom = 0 }: Frame,
  body: Uint8Array,
  { head, total }: { head: number; total: number },
): Uint8Array<ArrayBuffer> | undefined {
  const { buffer, byteOffset } = body;
  const fits = headRoom >= head && byteOffset % 8 === 0 && byteOffset - head + total <= buffer.byteLength;
  return fits && buffer instanceof ArrayBuffer ? new Uint8Array(buffer, byteOffset - head, total) : undefined;
}

/** Bytes that a frame takes as it travels. */
export function bytesOfFrame(f: Frame): number {
  return frameBytes(lengthsOf(f, bodyOf(f)));
}

function lengthsOf(f: Frame, body: Uint8Array): Lengths {
  return {
    name: f.keyList.length,
    sequenced: f.sequences.length > 0,
    T: f.tables.length,
    S: f.partitions.length,
    K: f.keys.length / 2,
    V: body.byteLength / VALUE_BYTES[f.dtype],
    dtype: f.dtype,
  };
}

function bodyOf({ dtype, values, coded }: Frame): Uint8Array {
  return dtype === "float32" ? bytesOf(values) : coded;
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array | Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function flagsOf({ keyList, partial, sequences }: Frame): number {
  return (
    (keyList.length > 0 ? FLAG_KEY_LIST : 0) |
    (partial ? FLAG_PARTIAL : 0) |
    (sequences.length > 0 ? FLAG_SEQUENCES : 0)
  );
}

function writeHeader(view: DataView, f: Frame, { T, S, K, V }: Lengths): void {
  view.setUint16(0, FRAME_MAGIC, true);
  view.setUint8(2, FRAME_VERSION);
  view.setUint8(3, OPCODES[f.opcode]);
  view.setUint8(4, DTYPES[f.dtype]);
  view.setUint8(5, flagsOf(f));
  view.setUint16(6, 0);
  view.setUint32(8, f.requestId, true);
  view.setUint32(12, f.job, true);
  view.setUint32(16, f.table, true);
  view.setUint32(20, f.generation, true);
  view.setUint32(24, f.step, true);
  view.setUint32(28, f.attempt, true);
  view.setUint32(32, f.term, true);
  view.setUint16(36, f.slot, true);
  view.setUint16(38, f.slots, true);
  view.setUint32(40, f.cursor, true);
  view.setUint32(44, T, true);
  view.setUint32(48, S, true);
  view.setUint32(52, K, true);
  view.setUint32(56, V, true);
  view.setUint32(60, 0);
}

/**
 * Decodes a frame; the sections are views of `bytes` where its alignment allows, so the caller must not reuse
 * the buffer while the frame lives.
 *
 * @throws {ProtocolError} naming what is wrong; the connection the bytes came over should be closed
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const length = bytes.byteLength;
  if (length < HEADER_BYTES)
    throw new ProtocolError(`frame of ${length} bytes is shorter than its ${HEADER_BYTES}-byte header`);
  if (length > LIMITS.frameBytesMax)
    throw new ProtocolError(`frame of ${length} bytes is over the limit of ${LIMITS.frameBytesMax}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const magic = view.getUint16(0, true);
  if (magic !== FRAME_MAGIC) throw new ProtocolError(`not a Volary frame: magic 0x${magic.toString(16)}`);
  const version = view.getUint8(2);
  if (version !== FRAME_VERSION) throw new ProtocolError(`frame version ${version}; this side speaks ${FRAME_VERSION}`);
  const opcodeId = view.getUint8(3);
  const opcode = opcodeOf(opcodeId);
  if (!opcode) throw new ProtocolError(`unknown opcode ${opcodeId}`);
  const dtypeId = view.getUint8(4);
  const dtype = DTYPE_NAMES.get(dtypeId);
  if (!dtype) throw new ProtocolError(`unknown dtype ${dtypeId} in ${opcode} frame`);
  const flags = view.getUint8(5);
  if ((flags & ~(FLAG_KEY_LIST | FLAG_PARTIAL | FLAG_SEQUENCES)) !== 0)
    throw new ProtocolError(`unknown flags 0x${flags.toString(16)} in ${opcode} frame`);
  const name = (flags & FLAG_KEY_LIST) === 0 ? 0 : KEY_LIST_NAME_BYTES;
  const sequenced = (flags & FLAG_SEQUENCES) !== 0;
  const T = view.getUint32(44, true);
  const S = view.getUint32(48, true);
  const K = view.getUint32(52, true);
  const V = view.getUint32(56, true);
  const lengths: Lengths = { name, sequenced, T, S, K, V, dtype };
  const fault = countsFault(lengths) ?? logFault(opcode, lengths);
  if (fault) throw new ProtocolError(`${opcode} frame: ${fault}`);
  const expected = frameBytes(lengths);
  if (expected !== length) throw new ProtocolError(`${opcode} frame of ${length} bytes declares ${expected}`);

  const aligned = bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes); // a Buffer's slice() would not copy
  const { buffer } = aligned;
  let at = aligned.byteOffset + HEADER_BYTES;
  const keyList = new Uint8Array(buffer, at, name);
  at += name;
  const u32 = (n: number): Uint32Array => {
    const section = new Uint32Array(buffer, at, n);
    at += pad8(4 * n);
    return section;
  };
  const tables = u32(T);
  const partitions = u32(S);
  const generations = u32(S);
  const sequences = sequenced ? u32(S) : EMPTY_U32;
  const counts = u32(S * T);
  const keys = u32(2 * K);
  const values = dtype === "float32" ? new Float32Array(buffer, at, V) : EMPTY_F32;
  const coded = dtype === "float32" ? EMPTY_U8 : new Uint8Array(buffer, at, VALUE_BYTES[dtype] * V);
  if (isKeyed(opcode) && sum(counts) !== K) {
    throw new ProtocolError(`${opcode} frame has ${K} keys but its counts add up to ${sum(counts)}`);
  }
  return {
    opcode,
    requestId: view.getUint32(8, true),
    job: view.getUint32(12, true),
    table: view.getUint32(16, true),
    generation: view.getUint32(20, true),
    step: view.getUint32(24, true),
    attempt: view.getUint32(28, true),
    term: view.getUint32(32, true),
    slot: view.getUint16(36, true),
    slots: view.getUint16(38, true),
    cursor: view.getUint32(40, true),
    dtype,
    partial: (flags & FLAG_PARTIAL) !== 0,
    keyList,
    tables,
    partitions,
    generations,
    sequences,
    counts,
    keys,
    values,
    coded,
  };
}

function countsFault(lengths: Lengths): string | undefined {
  const { T, S, K, V } = lengths;
  if (T > LIMITS.tablesPerFrameMax) return `${T} tables, over the limit of ${LIMITS.tablesPerFrameMax}`;
  if (S > LIMITS.segmentsPerFrameMax) return `${S} segments, over the limit of ${LIMITS.segmentsPerFrameMax}`;
  if (K > LIMITS.keysPerFrameMax) return `${K} keys, over the limit of ${LIMITS.keysPerFrameMax}`;
  if (V > LIMITS.valuesPerFrameMax) return `${V} values, over the limit of ${LIMITS.valuesPerFrameMax}`;
  if (frameBytes(lengths) > LIMITS.frameBytesMax) return `larger than ${LIMITS.frameBytesMax} bytes`;
  return undefined;
}

/** What has a place in the logs of partitions says it of each, and has its keys in it. */
function logFault(opcode: Opcode, { name, sequenced, S }: Lengths): string | undefined {
  if (!isSequenced(opcode)) return undefined;
  if (S > 0 && !sequenced) return `${S} partitions without sequences`;
  if (name > 0) return "its keys are named; they must be in it";
  return undefined;
}

/** Sections follow one another by the lengths in the header, so each must have the length the others imply. */
function shapeFault(f: Frame): string | undefined {
  const { keyList, tables, partitions, generations, sequences, counts, keys, dtype, values, coded } = f;
  const S = partitions.length;
  if (keyList.length !== 0 && keyList.length !== KEY_LIST_NAME_BYTES)
    return `the name of its key list has ${keyList.length} bytes and must have ${KEY_LIST_NAME_BYTES}`;
  const otherwise = dtype === "float32" ? coded : values;
  if (otherwise.length > 0) return `${otherwise.length} values that are not ${dtype}, which the frame says they are`;
  if (coded.length % VALUE_BYTES[dtype] !== 0) return `${coded.length} bytes of ${dtype} values`;
  if (generations.length !== S) return `${S} partitions with ${generations.length} generations`;
  if (sequences.length !== 0 && sequences.length !== S) return `${S} partitions with ${sequences.length} sequences`;
  if (counts.length !== S * tables.length) {
    return `${counts.length} counts for ${S} segments of ${tables.length} tables`;
  }
  if (keys.length % 2 !== 0) return `${keys.length} words of keys: a key has two`;
  return undefined;
}

function headerFault(f: Frame): string | undefined {
  const { requestId, job, table, generation, step, attempt, term, cursor, slot, slots } = f;
  for (const [name, value] of Object.entries({ requestId, job, table, generation, step, attempt, term, cursor })) {
    if (value >>> 0 !== value) return `${name} is ${value} and must be a whole number below 2^32`;
  }
  for (const [name, value] of Object.entries({ slot, slots })) {
    if ((value & 0xffff) !== value) return `${name} is ${value} and must be a whole number below 2^16`;
  }
  return undefined;
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (const n of counts) total += n;
  return total;
}
