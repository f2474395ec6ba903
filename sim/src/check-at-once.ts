/**
 * A job whose gradients are applied as they come: every batch exactly once in every row, in whichever order. That is told
 * exactly of a counting job whose tables keep all keys; of others, that what is there is finite, and what is said of it so.
 */
import { consistencyOf } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import { batchesPerStep, placeOfBatch } from "@volary/core/training";
import type { BatchMessage } from "./batch-messages.ts";
import type { Known } from "./check-history.ts";
import { BatchCounter, COUNTING_RATE, isCounting, type CountedBatch } from "./counting-job.ts";
import { heldOutError, initialRow, type WeightsOf } from "./held-out.ts";
import { replayRounds, type RoundsResult } from "./round-oracle.ts";
import { DENSE_FLOATS } from "./toy-job.ts";
import type { FinishedJob } from "./training-run.ts";

export interface AtOnceToCheck {
  manifest: JobManifest;
  finished: FinishedJob;
  messages: readonly BatchMessage[];
  pauses: readonly number[];
  /** By how much weights may be off. */
  tolerance: number;
}

export async function checkAtOnce(o: AtOnceToCheck): Promise<{ known: Known; rows: string[] }> {
  const { manifest, finished, messages, pauses, tolerance } = o;
  const counter = new BatchCounter(manifest);
  const { done, unknown } = batchesOf(messages);
  const visits = Array.from({ length: manifest.fit.epochs }, () => new Uint32Array(counter.plan.trainRows));
  for (const batch of done) {
    const { epoch, samples } = counter.samplesOf(batch);
    for (const row of samples) visits[epoch]![row]!++;
  }
  const mse: Known["mse"] = new Map(pauses.map((step) => [step, undefined]));
  const isQuiet = unknown.length === 0;
  const end = finished.commits.length;
  const error = await heldOutError({ manifest, weightsOf: weightsOf(o), dense: finished.dense });
  const isExact = isCounting(manifest) && manifest.tables.every(({ admission, eviction }) => !admission && !eviction);
  if (!isExact) {
    mse.set(end, isQuiet ? error : undefined);
    return { known: { visits, mse, lossSums: undefined }, rows: faultsOfFinite(finished) };
  }
  const { rounds: spec } = consistencyOf(manifest.fit.consistency);
  const rounds = spec && replayRounds({ manifest, counter, messages, spec });
  for (const step of pauses) {
    const total = totalOf(
      manifest,
      Array.from({ length: step * batchesPerStep(manifest) }, (_, batch) => counter.count(batch)),
    );
    const dense = rounds ? rounds.atEvaluation.get(step) : total.dense;
    // In fewer bytes the weights are only about what they should be.
    if (dense && spec?.compression !== "int8" && spec?.compression !== "bfloat16")
      mse.set(
        step,
        await heldOutError({
          manifest,
          weightsOf: (table, key) => total.row(table, key),
          dense: Float32Array.from(dense),
        }),
      );
  }
  mse.set(end, isQuiet ? error : undefined);
  const lossSums: number[] = [];
  for (const batch of done) {
    const at = placeOfBatch(manifest, batch).step - 1;
    lossSums[at] = (lossSums[at] ?? 0) + counter.count(batch).lossSum;
  }
  const applied = totalOf(
    manifest,
    [...done].map((batch) => counter.count(batch)),
  );
  const perhaps = unknown.map((batch) => totalOf(manifest, [counter.count(batch)]));
  const rows = [
    ...faultsOfRows({ manifest, finished, applied, perhaps, tolerance }),
    ...(rounds ? faultsOfRounds(finished, rounds) : faultsOfDense({ finished, applied, perhaps, tolerance })),
  ];
  return { known: { visits, mse, lossSums }, rows };
}

/** Batches that the PS have applied, as their workers said; and those that were given, of which nobody said so. */
function batchesOf(messages: readonly BatchMessage[]): { done: ReadonlySet<number>; unknown: number[] } {
  const done = new Set<number>();
  const given = new Set<number>();
  for (const { control } of messages) {
    if (control.type === "batch") given.add(control.batch);
    else if (control.type === "batch-done") done.add(control.batch);
  }
  return { done, unknown: [...given].filter((batch) => !done.has(batch)) };
}

/** What some batches add to the weights. */
class Total {
  readonly dense = new Float64Array(DENSE_FLOATS);
  readonly tables: ReadonlyMap<string, Map<bigint, Float64Array>>;
  readonly #dims: ReadonlyMap<string, number>;

  constructor(manifest: JobManifest) {
    this.#dims = new Map(manifest.tables.map(({ name, dim }) => [name, dim]));
    this.tables = new Map(manifest.tables.map(({ name }) => [name, new Map()]));
  }

  add({ tables, denseGrads }: CountedBatch): void {
    for (let d = 0; d < DENSE_FLOATS; d++) this.dense[d] = this.dense[d]! - COUNTING_RATE * denseGrads[d]!;
    for (const [table, rows] of tables) {
      const mine = this.tables.get(table)!;
      for (const [key, grads] of rows) {
        const row = mine.get(key) ?? new Float64Array(grads.length);
        mine.set(key, row);
        for (let d = 0; d < row.length; d++) row[d] = row[d]! - COUNTING_RATE * grads[d]!;
      }
    }
  }

  row(table: string, key: bigint): Float32Array {
    return Float32Array.from(this.tables.get(table)!.get(key) ?? new Float64Array(this.#dims.get(table)!));
  }
}

function totalOf(manifest: JobManifest, batches: readonly CountedBatch[]): Total {
  const total = new Total(manifest);
  for (const batch of batches) total.add(batch);
  return total;
}

/** As the job has left them. */
function weightsOf({ manifest, finished }: AtOnceToCheck): WeightsOf {
  const tables = new Map(
    [...finished.tables].map(([name, { keys, values }]) => {
      const dim = values.length / keys.length;
      return [name, new Map(Array.from(keys, (key, i) => [key, values.subarray(i * dim, (i + 1) * dim)]))];
    }),
  );
  return (table, key) => tables.get(table)!.get(key) ?? initialRow(manifest, table, key);
}

function faultsOfFinite({ tables, dense }: FinishedJob): string[] {
  const faults = [...tables]
    .filter(([, { values }]) => !values.every(Number.isFinite))
    .map(([name]) => `table ${name} has a weight that is not finite`);
  return dense.every(Number.isFinite) ? faults : [...faults, "a dense weight is not finite"];
}

interface Applied {
  finished: FinishedJob;
  applied: Total;
  /** Of each of these either all is in a row, or nothing. */
  perhaps: readonly Total[];
  tolerance: number;
}

function faultsOfRows(o: Applied & { manifest: JobManifest }): string[] {
  const { manifest, finished, applied, perhaps, tolerance } = o;
  const faults: string[] = [];
  for (const [table, rows] of applied.tables) {
    const found = finished.tables.get(table)!;
    const { dim } = manifest.tables.find(({ name }) => name === table)!;
    const keys = new Set(found.keys);
    const lacking = [...rows.keys()].find((key) => !keys.has(key));
    if (lacking !== undefined) faults.push(`row ${lacking} of table ${table} is not there`);
    for (const [i, key] of found.keys.entries()) {
      const row = found.values.subarray(i * dim, (i + 1) * dim);
      const base = applied.row(table, key);
      const some = perhaps.filter((batch) => batch.tables.get(table)!.has(key)).map((batch) => batch.row(table, key));
      if (isSum(row, { base, some, tolerance }) && (rows.has(key) || some.length > 0)) continue;
      faults.push(`row ${key} of table ${table} is [${row.join(", ")}], each batch once gives [${base.join(", ")}]`);
      break;
    }
  }
  return faults;
}

function faultsOfDense({ finished: { dense }, applied, perhaps, tolerance }: Applied): string[] {
  const base = Float32Array.from(applied.dense);
  const some = perhaps.map((batch) => Float32Array.from(batch.dense));
  if (isSum(dense, { base, some, tolerance })) return [];
  return [`dense weights are [${dense.join(", ")}], each batch once gives [${base.join(", ")}]`];
}

function faultsOfRounds({ dense: found }: FinishedJob, { dense, tolerance }: RoundsResult): string[] {
  if (found.every((weight, i) => Math.abs(weight - dense[i]!) <= tolerance + 1e-5 * Math.abs(dense[i]!))) return [];
  return [`dense weights are [${found.join(", ")}], the rounds give [${dense.join(", ")}] ± ${tolerance}`];
}

/** More than these are not told apart. */
const UNKNOWN_MAX = 10;

/** Is `row` the sum of `base` and any of the others? */
function isSum(
  row: Float32Array,
  { base, some, tolerance }: { base: Float32Array; some: readonly Float32Array[]; tolerance: number },
): boolean {
  if (some.length > UNKNOWN_MAX) return true;
  return Array.from({ length: 2 ** some.length }).some((_, subset) =>
    row.every((weight, d) => {
      const sum = some.reduce((total, each, i) => total + ((subset >> i) & 1) * each[d]!, base[d]!);
      return Math.abs(weight - sum) <= tolerance;
    }),
  );
}
