/** What an invitation says of its model, in figures that a person can read. */
import type { Invitation } from "@volary/core/job";

export interface ModelFacts {
  /** 0 where a topology does not tell. */
  layers: number;
  /** Floats of all dense variables. */
  parameters: number;
  tables: readonly string[];
  /** Where the number of rows is known. */
  steps: number | undefined;
}

export function modelFacts({ manifest, data }: Pick<Invitation, "manifest" | "data">): ModelFacts {
  const { model, tables, fit } = manifest;
  const { config } = (model.topology ?? {}) as { config?: { layers?: unknown } };
  const sizes = model.variables.map(({ shape }) => shape.reduce((floats, size) => floats * size, 1));
  const steps = data.rows === null ? undefined : Math.ceil(data.rows / fit.batchSize) * fit.epochs;
  return {
    layers: Array.isArray(config?.layers) ? config.layers.length : 0,
    parameters: sizes.reduce((sum, size) => sum + size, 0),
    tables: tables.map(({ name }) => name),
    steps: fit.stepsMax === undefined ? steps : Math.min(steps ?? Infinity, fit.stepsMax),
  };
}
