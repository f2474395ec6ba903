import { describe, expect, it } from "vitest";
import { file, filesOf, http, npmFile, s3 } from "./file-builders.ts";

describe("npmFile() and file()", () => {
  it("take a package with a scope", () => {
    expect(npmFile("@scope/data/train.parquet")).toEqual({ kind: "npm", path: "@scope/data/train.parquet" });
  });

  it.each(["", "vega-datasets", "@scope/data", "/etc/passwd", "a/../../b", "a//b", 7 as never])(
    "npmFile(%j) throws",
    (path) => {
      expect(() => npmFile(path)).toThrow(
        new TypeError(
          `npmFile(${path}): expected a package and a path inside it, as "vega-datasets/data/flights-3m.parquet"`,
        ),
      );
    },
  );

  it("file() wants a path", () => {
    expect(() => file("")).toThrow(new TypeError('file(): expected a path, as "data/train.parquet"'));
  });
});

describe("http() and s3()", () => {
  it.each(["", "example.org/a.csv", "ftp://example.org", "https://", "https://a b", 7 as never])(
    "http(%j) throws",
    (url) => {
      expect(() => http(url)).toThrow(
        new TypeError(`http(${url}): expected an address, as "https://example.org/train.csv"`),
      );
    },
  );

  it("s3() checks each part", () => {
    const of = (wrong: object) => () => s3({ bucket: "flights-2001", key: "days/", ...wrong });
    expect(of({ bucket: "no spaces" })).toThrow(
      new TypeError('s3(): bucket is "no spaces"; expected a bucket\'s name, as "flights-2001"'),
    );
    expect(of({ key: 7 })).toThrow(new TypeError('s3(): key is 7; expected a key, as "days/june.csv"'));
    expect(of({ region: "" })).toThrow(new TypeError('s3(): region is ""; leave it out or give it as text'));
    expect(of({ endPoint: "" })).toThrow('s3(): "endPoint" is no option');
    expect(of({ endpoint: "http://127.0.0.1:9000" })()).toEqual({
      kind: "s3",
      bucket: "flights-2001",
      key: "days/",
      endpoint: "http://127.0.0.1:9000",
    });
  });
});

describe("filesOf()", () => {
  it("tells paths and addresses apart", () => {
    expect(
      filesOf(["days/*.csv", "https://example.org/a.csv", "s3://flights-2001/days/", npmFile("a/b")], "csv"),
    ).toEqual([
      { kind: "file", path: "days/*.csv" },
      { kind: "http", url: "https://example.org/a.csv" },
      { kind: "s3", bucket: "flights-2001", key: "days/" },
      { kind: "npm", path: "a/b" },
    ]);
  });

  it("refuses what is no file", () => {
    expect(() => filesOf([], "csv")).toThrow(
      new TypeError("csv(): the list of files is empty; name a file, a folder or a glob"),
    );
    expect(() => filesOf([7 as never], "csv")).toThrow(
      new TypeError('csv(): 7 is no file; write a path, an https:// or s3:// address, or npmFile("package/path")'),
    );
    expect(() => filesOf("s3://x", "csv")).toThrow("s3(): bucket is");
  });
});
