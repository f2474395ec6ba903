/**
 * Real data sets that acceptance tests train on. They lie outside of the repository, under $VOLARY_DATA, which
 * `npm test` sets; a test of one says so in its title and is skipped where it is absent.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";

export interface DataSet {
  readonly isAbsent: boolean;
  /** Ends the title of a test of it, which may then be skipped where it is absent. */
  readonly needs: string;
  /** The path of one of its files. */
  file(name: string): string;
  /** The bytes of one of its files, unpacked. */
  bytes(name: string): Buffer;
  /** The lines of one of its files, unpacked, without line ends. */
  lines(name: string): string[];
}

/** @param name of its folder */
export function dataSet(name: string): DataSet {
  const folder = path.join(process.env["VOLARY_DATA"] ?? "", name);
  const isAbsent = process.env["VOLARY_DATA"] === undefined || !existsSync(folder);
  const file = (of: string): string => path.join(folder, of);
  const bytes = (of: string): Buffer => {
    const packed = readFileSync(file(of));
    return of.endsWith(".gz") ? gunzipSync(packed) : packed;
  };
  return {
    isAbsent,
    needs: `[needs data set: ${name}]`,
    file,
    bytes,
    lines: (of) => bytes(of).toString("utf8").trimEnd().split(/\r?\n/),
  };
}
