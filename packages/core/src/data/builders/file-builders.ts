/** The author's words for where the bytes of a data set lie. Nothing is opened here. */
import { checkOptions, show } from "./author-argument.ts";
import type { FileSpec } from "../spec/data-spec.ts";

/**
 * A file, or the short form of one: "https://…" and "s3://bucket/key" are addresses, any other string is a path, a
 * folder, or a glob as "days/*.csv".
 */
export type FileLike = string | FileSpec;
/** One file, folder or glob, or several, read one after the other. */
export type FilesLike = FileLike | readonly FileLike[];

/**
 * A file, a folder or a glob on the machine of whoever reads it; a relative path starts at the job file's folder.
 *
 * @throws {TypeError} no path
 */
export function file(path: string): FileSpec {
  if (typeof path !== "string" || path === "")
    throw new TypeError(`file(${text(path)}): expected a path, as "data/train.parquet"`);
  return { kind: "file", path };
}

/**
 * A file inside an installed npm package: `"package/path/inside"`.
 *
 * @throws {TypeError} no package, or no path inside it
 */
export function npmFile(path: string): FileSpec {
  const parts = typeof path === "string" ? path.split("/") : [];
  const packageParts = path?.startsWith?.("@") ? 2 : 1;
  if (parts.length <= packageParts || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new TypeError(
      `npmFile(${text(path)}): expected a package and a path inside it, as "vega-datasets/data/flights-3m.parquet"`,
    );
  }
  return { kind: "npm", path };
}

/**
 * A file at an http or https address.
 *
 * @throws {TypeError} another address
 */
export function http(url: string): FileSpec {
  if (typeof url !== "string" || !/^https?:\/\/[^/]/i.test(url) || !URL_CHARACTERS.test(url))
    throw new TypeError(`http(${text(url)}): expected an address, as "https://example.org/train.csv"`);
  return { kind: "http", url };
}

const URL_CHARACTERS = /^[^\s\p{Cc}]+$/u;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/i;

/**
 * An object of an S3 bucket, or every object under a key that ends in "/". Credentials are the reader's own.
 *
 * @throws {TypeError} a bucket, key, region or endpoint that is none
 */
export function s3(object: { bucket: string; key: string; region?: string; endpoint?: string }): FileSpec {
  checkOptions("s3", object, ["bucket", "key", "region", "endpoint"]);
  const { bucket, key, region, endpoint } = object;
  if (typeof bucket !== "string" || !BUCKET.test(bucket))
    throw new TypeError(`s3(): bucket is ${show(bucket)}; expected a bucket's name, as "flights-2001"`);
  if (typeof key !== "string") throw new TypeError(`s3(): key is ${show(key)}; expected a key, as "days/june.csv"`);
  for (const [name, value] of Object.entries({ region, endpoint })) {
    if (value !== undefined && (typeof value !== "string" || value === ""))
      throw new TypeError(`s3(): ${name} is ${show(value)}; leave it out or give it as text`);
  }
  return {
    kind: "s3",
    bucket,
    key,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  };
}

/**
 * The files an author's words stand for.
 *
 * @param call what the message begins with, as "parquet"
 * @throws {TypeError} none, or something that is no file
 */
export function filesOf(files: FilesLike, call: string): FileSpec[] {
  const list: readonly unknown[] = Array.isArray(files) ? files : [files];
  if (list.length === 0) throw new TypeError(`${call}(): the list of files is empty; name a file, a folder or a glob`);
  return list.map((given) => fileOf(given, call));
}

function fileOf(given: unknown, call: string): FileSpec {
  if (typeof given === "object" && given !== null && "kind" in given) return given as FileSpec;
  if (typeof given !== "string" || given === "") {
    throw new TypeError(
      `${call}(): ${show(given)} is no file; write a path, an https:// or s3:// address, or npmFile("package/path")`,
    );
  }
  if (/^https?:\/\//i.test(given)) return http(given);
  if (!/^s3:\/\//i.test(given)) return file(given);
  const [bucket = "", ...key] = given.slice("s3://".length).split("/");
  return s3({ bucket, key: key.join("/") });
}

function text(value: unknown): string {
  return typeof value === "string" ? value : show(value);
}
