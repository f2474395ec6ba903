/** The fingerprint of data that is streamed: SHA-256 over the bytes of its files, the first half of it. */
import { createHash } from "node:crypto";
import type { SourceFile } from "./source-file.ts";

/** 32 hex digits. */
export async function fingerprintOfFiles(files: readonly SourceFile[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) for await (const chunk of file.stream()) hash.update(chunk);
  return hash.digest("hex").slice(0, 32);
}
