/**
 * Lets a job file or a plugin lie anywhere: where no folder above it has the packages that such files import, they are
 * Volary's own. What is installed beside the file goes first. One copy of TensorFlow.js is needed anyway: it keeps its
 * layers and kernels in a registry of its own.
 */
import { registerHooks } from "node:module";
import { codeOf } from "./user-error.ts";

const OWN = /^(@volary\/core|@tensorflow\/tfjs|volary)(\/|$)/;

let isRegistered = false;

/** For every import from now on. */
export function resolveOwnPackages(): void {
  if (isRegistered) return;
  isRegistered = true;
  registerHooks({
    resolve(specifier, context, next) {
      if (!OWN.test(specifier)) return next(specifier, context);
      try {
        return next(specifier, context);
      } catch (error) {
        if (codeOf(error) !== "ERR_MODULE_NOT_FOUND") throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}
