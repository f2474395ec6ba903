import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import fc from "fast-check";
import { MemoryColdStore } from "@volary/core/table";
import { coldFiles } from "./cold-files.ts";

const folder = mkdtempSync(join(tmpdir(), "volary-cold-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

const RECORD_BYTES = 40;

/** Records of places, each filled with bytes that tell place and version. */
function records(places: readonly number[], version: number): Uint8Array {
  const bytes = new Uint8Array(places.length * RECORD_BYTES);
  places.forEach((place, i) => bytes.fill((place * 31 + version) & 0xff, i * RECORD_BYTES, (i + 1) * RECORD_BYTES));
  return bytes;
}

describe("coldFiles()", () => {
  it("refuses a folder that cannot be made", () => {
    expect(() => coldFiles(join(import.meta.filename, "below-a-file"))).toThrow(/ENOTDIR.*below-a-file/);
  });

  it("makes a folder that is not there", () => {
    coldFiles(join(folder, "new"))(RECORD_BYTES).close();
    expect(readdirSync(folder)).toEqual(["new"]);
    rmSync(join(folder, "new"), { recursive: true });
  });

  it("a file that takes no more says what to do, as LIMIT_EXCEEDED", () => {
    const store = coldFiles(folder)(RECORD_BYTES);
    store.close(); // any file that cannot be written to fails alike: here one that is closed
    expect(() => store.write(Uint32Array.of(0), 1, records([0], 1))).toThrow(
      expect.objectContaining({
        code: "LIMIT_EXCEEDED",
        message: expect.stringMatching(
          /cannot be spilled to .*--spill another folder, or raise --memory-max/,
        ) as string,
      }),
    );
  });

  it("what was never written cannot be read, as PARTITION_UNAVAILABLE", () => {
    const store = coldFiles(folder)(RECORD_BYTES);
    expect(() => store.read(Uint32Array.of(3), 1, new Uint8Array(RECORD_BYTES), 0)).toThrow(
      expect.objectContaining({ code: "PARTITION_UNAVAILABLE" }),
    );
    store.close();
  });

  it("leaves no file behind, whatever happens to its process", () => {
    const store = coldFiles(folder)(RECORD_BYTES);
    store.write(Uint32Array.of(0), 1, records([0], 1));
    expect(readdirSync(folder)).toEqual([]);
    store.close();
  });

  it("agrees with plain memory over any writes and reads, near each other and far apart", () => {
    const place = fc.oneof(
      fc.nat(50),
      fc.nat(3000).map((p) => 400 + p),
      fc.nat(100).map((p) => 20_000 + p),
    );
    const places = fc.uniqueArray(place, { minLength: 1, maxLength: 120 });
    const open = coldFiles(folder);
    fc.assert(
      fc.property(fc.array(places, { minLength: 1, maxLength: 8 }), fc.integer(), (writes, order) => {
        const file = open(RECORD_BYTES);
        const memory = new MemoryColdStore(RECORD_BYTES);
        for (const [version, some] of writes.entries()) {
          const ascending = some.toSorted((a, b) => a - b);
          for (const store of [file, memory])
            store.write(Uint32Array.from(ascending), ascending.length, records(ascending, version));
        }
        const all = [...new Set(writes.flat())].toSorted((a, b) => ((a ^ order) >>> 0) - ((b ^ order) >>> 0));
        const read = [file, memory].map((store) => {
          const into = new Uint8Array(8 + all.length * RECORD_BYTES);
          store.read(Uint32Array.from(all), all.length, into, 8);
          return into;
        });
        expect(read[0]).toEqual(read[1]);
        file.close();
      }),
    );
  });
});
