/**
 * The bytes of a TensorBoard event file that holds scalars: records of TensorFlow's TFRecord format, each an `Event`
 * protocol buffer. Pure; files are `tensorboard-log.ts`'s.
 *
 *     record    u64 LE length · u32 LE masked CRC-32C of the length · bytes · u32 LE masked CRC-32C of the bytes
 *     Event     1 double wall_time · 2 int64 step · 3 string file_version · 5 Summary
 *     Summary   1 repeated Value { 1 string tag · 2 float simple_value }
 *
 * @see tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto
 */

export interface ScalarEvent {
  /** ms since 1970. */
  atMs: number;
  step: number;
  /** By tag, each one a float32. */
  scalars: Readonly<Record<string, number>>;
}

/** The record every event file begins with. */
export function fileVersionRecord({ atMs }: { atMs: number }): Uint8Array<ArrayBuffer> {
  return record(message(doubleField(1, atMs / 1000), bytesField(3, utf8("brain.Event:2"))));
}

/** One record with all scalars of an event. */
export function scalarRecord({ atMs, step, scalars }: ScalarEvent): Uint8Array<ArrayBuffer> {
  const values = Object.entries(scalars).map(([tag, value]) =>
    bytesField(1, message(bytesField(1, utf8(tag)), floatField(2, value))),
  );
  return record(message(doubleField(1, atMs / 1000), varintField(2, step), bytesField(5, message(...values))));
}

/**
 * CRC-32C (Castagnoli) of some bytes, as an unsigned 32-bit number.
 *
 * @see RFC 3720, B.4
 */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffff_ffff) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? 0x82f6_3b78 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** As stored: a CRC over bytes that hold CRCs themselves is a weak one. */
function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282_ead8) >>> 0;
}

function record(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(16 + bytes.length);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(bytes.length), true);
  view.setUint32(8, maskedCrc32c(framed.subarray(0, 8)), true);
  framed.set(bytes, 12);
  view.setUint32(12 + bytes.length, maskedCrc32c(bytes), true);
  return framed;
}

// -- protocol buffers: a field is a varint of (number << 3 | wire type), then its value ----------------------------
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

type Field = readonly Uint8Array[];

const message = (...fields: readonly Field[]): Uint8Array => Buffer.concat(fields.flat());

const varintField = (number: number, value: number): Field => [fieldTag(number, VARINT), varint(value)];

const bytesField = (number: number, bytes: Uint8Array): Field => [fieldTag(number, BYTES), varint(bytes.length), bytes];

function doubleField(number: number, value: number): Field {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return [fieldTag(number, FIXED64), bytes];
}

function floatField(number: number, value: number): Field {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return [fieldTag(number, FIXED32), bytes];
}

const fieldTag = (number: number, wireType: number): Uint8Array => Uint8Array.of((number << 3) | wireType);

/** Of a whole number from 0 to 2^53 − 1. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

const encoder = new TextEncoder();
const utf8 = (text: string): Uint8Array => encoder.encode(text);
