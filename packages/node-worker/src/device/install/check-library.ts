/** Whether a library computes, tried in a process of its own: one that was built for another processor ends its process. */
import { execFile } from "node:child_process";
import path from "node:path";
import { execPath } from "node:process";
import { fileURLToPath } from "node:url";
import type { LoadedLibrary } from "../library/load-library.ts";
import type { LibraryKind } from "../library/library-folder.ts";
import { lastWords } from "./run-tool.ts";

/** The first use of a GPU may compile kernels for it. */
const CHECK_TIMEOUT_MS = 300_000;

/** @throws {Error} why it does not load, or that it computes wrong */
export async function checkLibrary(kind: LibraryKind, folder: string): Promise<LoadedLibrary> {
  const extension = path.extname(import.meta.url);
  const flags = extension === ".ts" ? ["--conditions=volary-source"] : [];
  const args = [...flags, fileURLToPath(new URL(`try-library${extension}`, import.meta.url)), kind, folder];
  return await new Promise((resolve, reject) => {
    execFile(execPath, args, { timeout: CHECK_TIMEOUT_MS }, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout) as LoadedLibrary);
      else reject(new Error(reasonOf(error.signal, stderr), { cause: error }));
    });
  });
}

function reasonOf(signal: NodeJS.Signals | null | undefined, stderr: string): string {
  if (signal === "SIGILL") return "this processor lacks instructions that TensorFlow's wheels are built with (AVX)";
  return signal ? `the process that loaded it ended by ${signal}` : lastWords(stderr);
}
