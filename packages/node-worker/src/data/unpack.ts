/** Packed files: .gz and .zst, unpacked as a stream, so that only a piece of them is in memory at a time. */
import { pipeline, Readable } from "node:stream";
import zlib from "node:zlib";
import { ClusterError } from "@volary/core/errors";
import { badFile, messageOf, type SourceFile } from "./source-file.ts";

export const isPacked = (name: string): boolean => packingOf(name) !== undefined;

/** The name without .gz or .zst. */
export const unpackedName = (name: string): string => name.replace(/\.(gz|zst)$/i, "");

/**
 * The bytes of a file in order, unpacked where its name says it is packed.
 *
 * @throws {ClusterError} BAD_DATA: it cannot be read, has changed, or is not packed as its name says
 */
export async function* contentsOf(file: SourceFile): AsyncGenerator<Uint8Array> {
  const packing = packingOf(file.name);
  if (packing === undefined) {
    yield* file.stream();
    return;
  }
  const unpacked = pipeline(Readable.from(file.stream()), packing.unpacker(), () => {});
  try {
    yield* unpacked as AsyncIterable<Buffer>;
  } catch (error) {
    if (error instanceof ClusterError) throw error;
    throw badFile(file.name, `not a whole ${packing.name} file (${messageOf(error)}); copy or pack it again`, error);
  }
}

const CHUNK_BYTES = 256 * 1024;

const PACKINGS = {
  ".gz": { name: "gzip", unpacker: () => zlib.createGunzip({ chunkSize: CHUNK_BYTES }) },
  ".zst": {
    name: "zstd",
    unpacker() {
      if (typeof zlib.createZstdDecompress === "function") return zlib.createZstdDecompress({ chunkSize: CHUNK_BYTES });
      throw new ClusterError(
        "BAD_DATA",
        `.zst files need Node 22.15 or later, this is ${process.version}: pack as .gz`,
      );
    },
  },
} as const;

function packingOf(name: string): (typeof PACKINGS)[".gz"] | (typeof PACKINGS)[".zst"] | undefined {
  const extension = /\.(?:gz|zst)(?=[?#]|$)/i.exec(name)?.[0].toLowerCase();
  return extension === ".gz" || extension === ".zst" ? PACKINGS[extension] : undefined;
}
