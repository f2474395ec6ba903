/** The pages for browsers, the volunteers' and the operators', as `@volary/browser-worker` has built them. */
import { fileURLToPath } from "node:url";
import type { StaticPages } from "@volary/ps-server";
import { messageOf } from "../user-error.ts";

/** @returns undefined where they were not built, which is logged with the remedy */
export async function openOwnPages(log: (message: string) => void): Promise<StaticPages | undefined> {
  const { openPages } = await import("@volary/ps-server");
  try {
    // The package's module lies in src/ or dist/, its pages in dist/web/.
    return await openPages(fileURLToPath(new URL("../dist/web/", import.meta.resolve("@volary/browser-worker"))));
  } catch (error) {
    log(`no pages for browsers: ${messageOf(error)}`);
    return undefined;
  }
}
