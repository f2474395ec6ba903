import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readParquet } from "./parquet.ts";

/**
 * Three rows in two row groups, every sort of column, by pyarrow 21:
 *
 *     id int64 [2^53 + 1, −5, 7] · unsigned uint64 [2^64 − 1, 0, 1] · small int32 [1, −2, 3]
 *     ratio double [0.5, null, −1.25] · name string ["Zürich", null, "Oslo"] · flag bool [true, false, true]
 *     ms timestamp[ms] [1, −1, null] · at timestamp[ms] [1000, −2000, 3000] · day date32 [0, −1, 11000]
 *     nanos timestamp[ns] [1000500, −2000000, 3000000] · tags list<string> · raw binary
 */
const FIXTURE = Buffer.from(
  [
    "UEFSMRUAFSwVPiwVBBUAFQYVBhwAAAAotS/9IBaxAAACAAAABAEBAAAAAAAgAPv/////////FQAVLBU+LBUEFQAVBhUGHAAAACi1L/0g",
    "FrEAAAIAAAAEAf//////////AAAAAAAAAAAVABUcFS4sFQQVABUGFQYcAAAAKLUv/SAOcQAAAgAAAAQBAQAAAP7///8VABUcFS4sFQQV",
    "ABUGFQYcAAAAKLUv/SAOcQAAAgAAAAMBAAAAAAAA4D8VBBUWFShMFQIVABIAACi1L/0gC1kAAAcAAABaw7xyaWNoFQAVEhUkLBUEFRAV",
    "BhUGHAAAACi1L/0gCUkAAAIAAAADAQECABUAFSwVPiwVBBUAFQYVBhwAAAAotS/9IBaxAAACAAAABAEBAAAAAAAAAP//////////FQAV",
    "LBU+LBUEFQAVBhUGHAAAACi1L/0gFrEAAAIAAAAEAegDAAAAAAAAMPj///////8VABUsFT4sFQQVABUGFQYcAAAAKLUv/SAWsQAAAgAA",
    "AAQBNEQPAAAAAACAe+H//////xUAFRwVLiwVBBUAFQYVBhwAAAAotS/9IA5xAAACAAAABAEAAAAA/////xUAFQ4VICwVBBUAFQYVBhwA",
    "AAAotS/9IAc5AAACAAAABAEBFQAVJBU2LBUEFQAVBhUGHAAAACi1L/0gEpEAAAIAAAAEAAMAAAADBwABAAAAYRUAFSAVMiwVBBUAFQYV",
    "BhwAAAAotS/9IBCBAAACAAAABAEBAAAAAAEAAAABFQAVHBUuLBUCFQAVBhUGHAAAACi1L/0gDnEAAAIAAAACAQcAAAAAAAAAFQAVHBUu",
    "LBUCFQAVBhUGHAAAACi1L/0gDnEAAAIAAAACAQEAAAAAAAAAFQAVFBUmLBUCFQAVBhUGHAAAACi1L/0gClEAAAIAAAACAQMAAAAVABUc",
    "FS4sFQIVABUGFQYcAAAAKLUv/SAOcQAAAgAAAAIBAAAAAAAA9L8VBBUQFSJMFQIVABIAACi1L/0gCEEAAAQAAABPc2xvFQAVEhUkLBUC",
    "FRAVBhUGHAAAACi1L/0gCUkAAAIAAAACAQECABUAFQwVHiwVAhUAFQYVBhwAAAAotS/9IAYxAAACAAAAAgAVABUcFS4sFQIVABUGFQYc",
    "AAAAKLUv/SAOcQAAAgAAAAIBuAsAAAAAAAAVABUcFS4sFQIVABUGFQYcAAAAKLUv/SAOcQAAAgAAAAIBwMYtAAAAAAAVABUUFSYsFQIV",
    "ABUGFQYcAAAAKLUv/SAKUQAAAgAAAAIB+CoAABUAFQ4VICwVAhUAFQYVBhwAAAAotS/9IAc5AAACAAAAAgEBFQAVLBU+LBUEFQAVBhUG",
    "HAAAACi1L/0gFrEAAAIAAAADAgIAAAAEAwEAAABiAQAAAGMVABUWFSgsFQIVABUGFQYcAAAAKLUv/SALWQAAAgAAAAIBAQAAAAIVBBn8",
    "DzUAGAZzY2hlbWEVGAAVBCUCGAJpZAAVBCUCGAh1bnNpZ25lZCUcTKwTQBIAAAAVAiUCGAVzbWFsbAAVCiUCGAVyYXRpbwAVDCUCGARu",
    "YW1lJQBMHAAAABUEJQIYAm1zJRJMjBIcHAAAAAAAFQQlAhgCYXQlEkyMEhwcAAAAAAAVBCUCGAVuYW5vc2yMEhw8AAAAAAAVAiUCGANk",
    "YXklDExsAAAAFQAlAhgEZmxhZwA1AhgEdGFncxUCFQZMPAAAADUEGARsaXN0FQIAFQwlAhgHZWxlbWVudCUATBwAAAAVDCUCGANyYXcA",
    "FgYZLBnMJgAcFQQZJQYAGRgCaWQVDBYEFlIWZCYISRwVABUAFQIAPCkGGSYABAAAACYAHBUEGSUGABkYCHVuc2lnbmVkFQwWBBZSFmQm",
    "bEkcFQAVABUCADwpBhkmAAQAAAAmABwVAhklBgAZGAVzbWFsbBUMFgQWQhZUJtABSRwVABUAFQIAPCkGGSYABAAAACYAHBUKGSUGABkY",
    "BXJhdGlvFQwWBBZCFlQmpAJJHBUAFQAVAgA8KQYZJgICAAAAJgAcFQwZNQAGEBkYBG5hbWUVDBYEFmoWjgEmvAMm+AIpLBUEFQAVAgAV",
    "ABUQFQIAPBYOGQYZJgICAAAAJgAcFQQZJQYAGRgCbXMVDBYEFlIWZCaGBEkcFQAVABUCADwpBhkmAAQAAAAmABwVBBklBgAZGAJhdBUM",
    "FgQWUhZkJuoESRwVABUAFQIAPCkGGSYABAAAACYAHBUEGSUGABkYBW5hbm9zFQwWBBZSFmQmzgVJHBUAFQAVAgA8KQYZJgAEAAAAJgAc",
    "FQIZJQYAGRgDZGF5FQwWBBZCFlQmsgZJHBUAFQAVAgA8KQYZJgAEAAAAJgAcFQAZJQYAGRgEZmxhZxUMFgQWNBZGJoYHSRwVABUAFQIA",
    "PCkGGSYABAAAACYAHBUMGSUGABk4BHRhZ3MEbGlzdAdlbGVtZW50FQwWBBZKFlwmzAdJHBUAFQAVAgA8FgIZJgQAGUYAAgACAAAAJgAc",
    "FQwZJQYAGRgDcmF3FQwWBBZGFlgmqAhJHBUAFQAVAgA8FgQZBhkmAAQAAAAWjgcWBCYIFvgIABnMJgAcFQQZJQYAGRgCaWQVDBYCFkIW",
    "VCaACUkcFQAVABUCADwpBhkmAAIAAAAmABwVBBklBgAZGAh1bnNpZ25lZBUMFgIWQhZUJtQJSRwVABUAFQIAPCkGGSYAAgAAACYAHBUC",
    "GSUGABkYBXNtYWxsFQwWAhY6FkwmqApJHBUAFQAVAgA8KQYZJgACAAAAJgAcFQoZJQYAGRgFcmF0aW8VDBYCFkIWVCb0CkkcFQAVABUC",
    "ADwpBhkmAAIAAAAmABwVDBk1AAYQGRgEbmFtZRUMFgIWZBaIASaGDCbICyksFQQVABUCABUAFRAVAgA8FggZBhkmAAIAAAAmABwVBBkl",
    "BgAZGAJtcxUMFgIWMhZEJtAMSRwVABUAFQIAPCkGGSYCAAAAACYAHBUEGSUGABkYAmF0FQwWAhZCFlQmlA1JHBUAFQAVAgA8KQYZJgAC",
    "AAAAJgAcFQQZJQYAGRgFbmFub3MVDBYCFkIWVCboDUkcFQAVABUCADwpBhkmAAIAAAAmABwVAhklBgAZGANkYXkVDBYCFjoWTCa8Dkkc",
    "FQAVABUCADwpBhkmAAIAAAAmABwVABklBgAZGARmbGFnFQwWAhY0FkYmiA9JHBUAFQAVAgA8KQYZJgACAAAAJgAcFQwZJQYAGTgEdGFn",
    "cwRsaXN0B2VsZW1lbnQVDBYEFlIWZCbOD0kcFQAVABUCADwWBBkmAgIZRgAAAAQAAAAmABwVDBklBgAZGANyYXcVDBYCFjwWTiayEEkc",
    "FQAVABUCADwWAhkGGSYAAgAAABaWBhYCJoAJFoAIACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZzBwAABwAABwAABwA",
    "ABwAABwAABwAABwAABwAABwAABwAABwAAADoBQAAUEFSMQ==",
  ].join(""),
  "base64",
);

let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-parquet-"));
  file = path.join(folder, "sorts.parquet");
  await writeFile(file, FIXTURE);
});

afterAll(() => rm(folder, { recursive: true }));

async function read(column: string): Promise<unknown> {
  const table = await readParquet(file, { columns: [column] });
  expect(table.rows).toBe(3);
  return table.columns.get(column);
}

async function fileWith(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(path.join(folder, name), bytes);
  return path.join(folder, name);
}

const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });

describe("readParquet() refuses", () => {
  it("a file that is missing", async () => {
    const missing = path.join(folder, "missing.parquet");
    await expect(readParquet(missing, { columns: [] })).rejects.toEqual(
      badData(`${missing}: cannot be opened: ENOENT: no such file or directory, open '${missing}'`),
    );
  });

  it.each([
    ["empty", 0],
    ["short", 11],
    ["other", 5000],
  ])("a file that is not Parquet: %s", async (name, bytes) => {
    const other = await fileWith(name, new Uint8Array(bytes).fill(0x20));
    await expect(readParquet(other, { columns: ["id"] })).rejects.toEqual(
      badData(`${other}: not a Parquet file: its ${bytes} bytes do not begin with "PAR1"; check the path`),
    );
  });

  it.each([12, 100, FIXTURE.length - 1])("a file cut off after %d bytes", async (bytes) => {
    const cut = await fileWith(`cut-${bytes}.parquet`, FIXTURE.subarray(0, bytes));
    await expect(readParquet(cut, { columns: ["id"] })).rejects.toEqual(
      badData(`${cut}: truncated: its ${bytes} bytes do not end with "PAR1"; copy or download it again`),
    );
  });

  it("a footer that is no footer", async () => {
    const bytes = Buffer.from(FIXTURE);
    bytes.writeUInt32LE(0x7fff_ffff, bytes.length - 8);
    const broken = await fileWith("footer.parquet", bytes);
    await expect(readParquet(broken, { columns: ["id"] })).rejects.toEqual(
      badData(
        `${broken}: broken footer (parquet metadata length 2147483647 exceeds available buffer ${FIXTURE.length - 8}); copy or download it again`,
      ),
    );
  });

  it("pages that do not decode, naming column and rows", async () => {
    const bytes = Buffer.from(FIXTURE);
    bytes.fill(0xff, 4, 60);
    const broken = await fileWith("pages.parquet", bytes);
    const failure = readParquet(broken, { columns: ["id"] });
    await expect(failure).rejects.toMatchObject({ code: "BAD_DATA" });
    await expect(failure).rejects.toThrow(`${broken}: column "id", rows 0 to 1: `);
  });

  it("a column that is not there, or not readable", async () => {
    await expect(read("nam")).rejects.toEqual(
      badData(
        `${file}: no column "nam"; there are "id", "unsigned", "small", "ratio", "name", "ms", "at", "nanos", "day", "flag", "tags", "raw". Did you mean "name"?`,
      ),
    );
    const remedy = "expected numbers, timestamps, strings or lists of them: convert it before training";
    await expect(read("raw")).rejects.toEqual(badData(`${file}: column "raw" is BYTE_ARRAY; ${remedy}`));
  });
});

describe("readParquet()", () => {
  it("keeps 64-bit integers exact, unsigned ones modulo 2^64", async () => {
    expect(await read("id")).toEqual({ kind: "int64", values: BigInt64Array.of(2n ** 53n + 1n, -5n, 7n) });
    expect(await read("unsigned")).toEqual({ kind: "int64", values: BigInt64Array.of(-1n, 0n, 1n) });
  });

  it("gives timestamps of every unit, and dates, as microseconds", async () => {
    expect(await read("at")).toEqual({ kind: "int64", values: BigInt64Array.of(1_000_000n, -2_000_000n, 3_000_000n) });
    expect(await read("nanos")).toEqual({ kind: "int64", values: BigInt64Array.of(1000n, -2000n, 3000n) });
    expect(await read("day")).toEqual({
      kind: "int64",
      values: BigInt64Array.of(0n, -86_400_000_000n, 950_400_000_000_000n),
    });
  });

  it("gives lists with offsets into their elements", async () => {
    expect(await read("tags")).toMatchObject({ kind: "list", elements: { kind: "string" } });
  });

  it("marks missing integers", async () => {
    expect(await read("ms")).toEqual({
      kind: "int64",
      values: BigInt64Array.of(1000n, -1000n, 0n),
      missing: Uint8Array.of(0, 0, 1),
    });
  });

  it("gives other numbers as doubles, a null as NaN", async () => {
    expect(await read("small")).toEqual({ kind: "number", values: Float64Array.of(1, -2, 3) });
    expect(await read("ratio")).toEqual({ kind: "number", values: Float64Array.of(0.5, Number.NaN, -1.25) });
    expect(await read("flag")).toEqual({ kind: "number", values: Float64Array.of(1, 0, 1) });
  });

  it('codes strings by a dictionary, a null as ""', async () => {
    expect(await read("name")).toEqual({
      kind: "string",
      codes: Uint32Array.of(0, 1, 2),
      dictionary: ["Zürich", "", "Oslo"],
    });
  });

  it("reads the columns it is asked for, in that order", async () => {
    const table = await readParquet(file, { columns: ["small", "id"] });
    expect([...table.columns.keys()]).toEqual(["small", "id"]);
  });
});
