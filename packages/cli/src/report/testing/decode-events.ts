/**
 * Reads TensorBoard event files for tests: written from the formats' own pages, with its own CRC, so that it shares no
 * mistake with `tensorboard-events.ts`.
 *
 * @see https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
 * @see https://protobuf.dev/programming-guides/encoding/
 */
export interface DecodedEvent {
  wallTime: number;
  step: number;
  fileVersion?: string;
  scalars: Record<string, number>;
}

/** @throws {Error} a checksum does not fit, or bytes are missing */
export function decodedEvents(file: Uint8Array): DecodedEvent[] {
  const events: DecodedEvent[] = [];
  for (let at = 0; at < file.length;) {
    const view = new DataView(file.buffer, file.byteOffset + at);
    check(file.subarray(at, at + 8), view.getUint32(8, true));
    const length = Number(view.getBigUint64(0, true));
    const body = file.subarray(at + 12, at + 12 + length);
    check(body, view.getUint32(12 + length, true));
    events.push(eventOf(body));
    at += 16 + length;
  }
  return events;
}

function eventOf(body: Uint8Array): DecodedEvent {
  const event: DecodedEvent = { wallTime: 0, step: 0, scalars: {} };
  for (const { number, bytes, view, varint } of fieldsOf(body)) {
    if (number === 1) event.wallTime = view.getFloat64(0, true);
    else if (number === 2) event.step = Number(varint);
    else if (number === 3) event.fileVersion = new TextDecoder().decode(bytes);
    else if (number === 5) for (const value of fieldsOf(bytes)) addScalar(event.scalars, value.bytes);
    else throw new Error(`unknown field ${number} of an event`);
  }
  return event;
}

function addScalar(scalars: Record<string, number>, value: Uint8Array): void {
  const [tag, simpleValue] = fieldsOf(value);
  if (tag?.number !== 1 || simpleValue?.number !== 2) throw new Error("a value is a tag and a simple_value");
  const name = new TextDecoder().decode(tag.bytes);
  Object.defineProperty(scalars, name, {
    value: simpleValue.view.getFloat32(0, true),
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

interface Field {
  number: number;
  varint: bigint;
  bytes: Uint8Array;
  view: DataView;
}

function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error("the message ends inside a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    const value = (key & 7n) === 0n ? varint() : 0n;
    const length = { 0: 0, 1: 8, 2: 0, 5: 4 }[Number(key & 7n)];
    if (length === undefined) throw new Error(`unknown wire type ${key & 7n}`);
    const size = (key & 7n) === 2n ? Number(varint()) : length;
    const bytes = message.subarray(at, at + size);
    if (bytes.length < size) throw new Error("the message ends inside a field");
    at += size;
    fields.push({
      number: Number(key >> 3n),
      varint: value,
      bytes,
      view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    });
  }
  return fields;
}

function check(bytes: Uint8Array, stored: number): void {
  const rotated = (stored - 0xa282ead8) >>> 0;
  const crc = ((rotated << 15) | (rotated >>> 17)) >>> 0;
  if (crc !== slowCrc32c(bytes)) throw new Error("checksum does not fit");
}

/** Bit by bit, from the polynomial 0x1EDC6F41: no table. */
function slowCrc32c(bytes: Uint8Array): number {
  let register = 0xffff_ffff;
  for (const byte of bytes) {
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = ((register >>> 31) ^ ((byte >> bit) & 1)) === 1;
      register = ((register << 1) ^ (isOdd ? 0x1edc_6f41 : 0)) >>> 0;
    }
  }
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed |= ((register >>> bit) & 1) << (31 - bit);
  return (reversed ^ 0xffff_ffff) >>> 0;
}
