/** Loads a job file: whatever is wrong with it is said in one line that names the file and the remedy. */
import { spawnSync } from "node:child_process";
import { stat } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { JobDefinition } from "@volary/core/model";
import { resolveOwnPackages } from "./own-packages.ts";
import { codeOf, messageOf, UserError } from "./user-error.ts";

const EXTENSIONS = [".ts", ".mts", ".js", ".mjs"];
const SHAPE = "end the file with `export default defineJob({ … })`";

/**
 * The job that a file exports by default.
 *
 * @param file relative to the working folder, or absolute
 * @throws {UserError} no such file, a syntax error, no job in it, …
 */
export async function loadJobFile(file: string): Promise<JobDefinition> {
  const absolute = path.resolve(file);
  await checkIsFile(file, absolute);
  resolveOwnPackages();
  let module: object;
  try {
    module = (await import(pathToFileURL(absolute).href)) as object;
  } catch (error) {
    throw new UserError(`job file ${file}${importFailure(error, absolute)}`, { cause: error });
  }
  if (!("default" in module)) {
    const names = Object.keys(module);
    const has = names.length === 0 ? "exports nothing" : `exports ${names.join(", ")}, but no default`;
    throw new UserError(`job file ${file} ${has}; ${SHAPE}`);
  }
  return checkedJob(file, await module.default);
}

async function checkedJob(file: string, job: unknown): Promise<JobDefinition> {
  if (typeof job !== "object" || job === null) {
    const what = typeof job === "function" ? "a function" : (JSON.stringify(job) ?? String(job));
    throw new UserError(`the default export of job file ${file} is ${what}, not a job; ${SHAPE}`);
  }
  const { defineJob } = await import("@volary/core/model");
  try {
    return defineJob(job as JobDefinition);
  } catch (error) {
    throw new UserError(`the default export of job file ${file} is not a job (${messageOf(error)}); ${SHAPE}`, {
      cause: error,
    });
  }
}

async function checkIsFile(file: string, absolute: string): Promise<void> {
  const found = await stat(absolute).catch(() => undefined);
  if (!found)
    throw new UserError(`no job file ${file} (looked for ${absolute}); give the path of a file that exports a job`);
  if (!found.isFile()) throw new UserError(`${file} is a folder; give the path of the job file in it`);
  if (EXTENSIONS.includes(path.extname(file))) return;
  throw new UserError(
    `job file ${file} is not TypeScript or JavaScript; its name must end in ${EXTENSIONS.join(", ")}`,
  );
}

function importFailure(error: unknown, absolute: string): string {
  const message = messageOf(error);
  switch (codeOf(error)) {
    case "ERR_INVALID_TYPESCRIPT_SYNTAX":
      return `${placeOf(error, absolute)} has a syntax error: ${message}; correct it there`;
    case "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX":
      return `${placeOf(error, absolute)} uses TypeScript that Node cannot strip: ${message}; write it in plain types, without enum, namespace or parameter properties`;
    case "ERR_MODULE_NOT_FOUND":
      return ` imports what is not there: ${message}; correct the import, or install the package beside the file`;
    case "ERR_PACKAGE_PATH_NOT_EXPORTED":
      return ` imports what its package does not export: ${message}`;
    default:
      if (!(error instanceof SyntaxError)) return `${placeOf(error, absolute)} failed while it was loaded: ${message}`;
      return `${placeOf(error, absolute) || checkedPlace(absolute)} has a syntax error: ${message}; correct it there`;
  }
}

/** Which line of the job file, where the error's stack tells. */
function placeOf(error: unknown, absolute: string): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  for (const place of [pathToFileURL(absolute).href, absolute]) {
    const at = stack.indexOf(`${place}:`);
    const line = at < 0 ? undefined : /^\d+/.exec(stack.slice(at + place.length + 1))?.[0];
    if (line !== undefined) return `, line ${line},`;
  }
  return "";
}

/** Which line, asked of Node: it prints the line of a syntax error in JavaScript, but does not give it to code. */
function checkedPlace(absolute: string): string {
  const { stderr } = spawnSync(process.execPath, ["--check", absolute], { encoding: "utf8" });
  const line = /:(\d+)$/m.exec(stderr.split("\n")[0] ?? "")?.[1];
  return line === undefined ? "" : `, line ${line},`;
}
