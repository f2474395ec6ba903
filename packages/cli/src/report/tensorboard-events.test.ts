import fc from "fast-check";
import { expect, test } from "vitest";
import { crc32c, fileVersionRecord, scalarRecord } from "./tensorboard-events.ts";
import { decodedEvents } from "./testing/decode-events.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

// RFC 3720, B.4, and the check value of the CRC catalogue.
test.each([
  ["nothing", new Uint8Array(0), 0],
  ["123456789", ascii("123456789"), 0xe306_9283],
  ["32 zeros", new Uint8Array(32), 0x8a91_36aa],
  ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8_ab43],
  ["ascending", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd_794e],
  ["descending", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113f_db5c],
])("crc32c() of %s is that of the standard", (_, bytes, crc) => {
  expect(crc32c(bytes)).toBe(crc);
});

test("a decoder that shares nothing with the writer reads what was written", () => {
  const bytes = Buffer.concat([
    fileVersionRecord({ atMs: 1_700_000_000_250 }),
    scalarRecord({ atMs: 1_700_000_001_500, step: 7, scalars: { loss: 0.5, val_auc: 0.75 } }),
    scalarRecord({ atMs: 1_700_000_002_000, step: 0, scalars: { "größe/鳥": NaN } }),
  ]);
  expect(decodedEvents(bytes)).toEqual([
    { wallTime: 1_700_000_000.25, step: 0, fileVersion: "brain.Event:2", scalars: {} },
    { wallTime: 1_700_000_001.5, step: 7, scalars: { loss: 0.5, val_auc: 0.75 } },
    { wallTime: 1_700_000_002, step: 0, scalars: { "größe/鳥": NaN } },
  ]);
});

test("any step, time and value comes back, as a float32", () => {
  const scalars = fc.dictionary(fc.string({ maxLength: 200 }), fc.float());
  const event = fc.record({ atMs: fc.nat(2 ** 41), step: fc.maxSafeNat(), scalars });
  fc.assert(
    fc.property(event, ({ atMs, step, scalars }) => {
      const [read] = decodedEvents(scalarRecord({ atMs, step, scalars }));
      expect(read).toMatchObject({ wallTime: atMs / 1000, step });
      expect(Object.entries(read!.scalars)).toEqual(Object.entries(scalars));
    }),
  );
});

test("a flipped bit is noticed", () => {
  const bytes = scalarRecord({ atMs: 0, step: 1, scalars: { loss: 1 } });
  for (let at = 0; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at]! ^= 0x10;
    expect(() => decodedEvents(damaged)).toThrow(/checksum/);
  }
});
