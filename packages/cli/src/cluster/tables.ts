/**
 * Plain tables of a cluster, for algorithms that are no neural net: `cluster.tables({ counts: { dim: 4, … } })`.
 *
 * They are the tables of a job that is opened and never run, so that PS nodes and the coordinator know one kind of
 * table. What happens when a peer dies here: what a PS node has not answered is sent again, to the replica that takes
 * over; where the last replica of some rows is lost, every call fails from then on. A coordinator that is lost is not
 * missed; when this process ends, the coordinator closes the tables and their rows are forgotten.
 */
import { PlainTable } from "@volary/core/client";
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import {
  isPlainUpdate,
  optimizerSpecFrom,
  PLAIN_UPDATES,
  type OptimizerName,
  type OptimizerSpec,
  type PlainUpdate,
} from "@volary/core/optimizer";
import {
  admissionSpecSchema,
  evictionSpecSchema,
  tableSpecSchema,
  type AdmissionSpec,
  type EvictionSpec,
  type InitializerSpec,
  type TableSpec,
} from "@volary/core/table";
import type { Clock, Dialer } from "@volary/core/wire";
import type { CoordinatorClient } from "./coordinator-client.ts";
import { openPsLinks, type PsLinks } from "./ps-links.ts";

/** A table as its author writes it; one of `optimizer` and `update`. */
export interface PlainTableOptions {
  /** Floats of a row. */
  dim: number;
  /** What pushes do to a row, as gradients: `ftrl({ … })`, "adagrad", … */
  optimizer?: OptimizerName | OptimizerSpec;
  /** What pushes do to a row otherwise: "sum", "count", "max", "set", or `plugin("./updates.ts", "name")`. */
  update?: PlainUpdate | OptimizerSpec;
  /** First values of rows; zeros unless said otherwise. */
  initializer?: InitializerSpec;
  /**
   * What the weights of a row are stored as, and so their bytes: 4 · dim as "float32", the default; 2 · dim as
   * "bfloat16"; dim + 8 as "int8", steps between the least and the greatest of the row. After a push they are rounded
   * up or down by a chance that keeps their mean, a hash of the key and its number of updates; those that are set, to
   * the nearest. What must be exact, as a count, needs float32. The optimizer's state stays float32.
   */
  dtype?: "float32" | "bfloat16" | "int8";
  /**
   * Which keys get a row, as `afterUpdates(3)`: here with the third push of a key; what the two before would have
   * changed is dropped. A key that is set has its row at once. Every key that is pushed by default.
   */
  admit?: AdmissionSpec;
  /**
   * Which rows go, as `leastFrequent({ rowsMax: 1e6 })`; none by default. A table by itself has no steps, so its rows
   * have no age: `leastRecent()` and `expireSteps` are for embeddings.
   */
  evict?: EvictionSpec;
}

/** What tables have in common. */
export interface TablesOptions {
  /** Of the rows' first values; 0 unless said otherwise. */
  seed?: number;
  /** For people, in the cluster's status. */
  name?: string;
}

/** Tables by name, until they are closed. */
export type Tables<Name extends string = string> = { readonly [name in Name]: PlainTable } & {
  /** Gives their rows up. */
  close(): void;
};

/**
 * Opens tables on the PS nodes of a cluster.
 *
 * @throws {TypeError | RangeError} a table that makes no sense: which, and the remedy
 * @throws {ClusterError} PARTITION_UNAVAILABLE; BAD_JOB: a PS node has not loaded the plugin of an update
 */
export async function openTables<Name extends string>(of: {
  tables: Readonly<Record<Name, PlainTableOptions>>;
  options?: TablesOptions;
  client: CoordinatorClient;
  /** Of this client, for PS nodes. */
  name: string;
  dialer: Dialer;
  clock: Clock;
}): Promise<Tables<Name>> {
  const { client, name, dialer, clock } = of;
  const specs = tableSpecsOf(of.tables);
  const { job, map } = await client.submit(manifestOfTables(specs, of.options ?? {}));
  let ps: PsLinks;
  try {
    ps = await openPsLinks({ job, map, client, name, dialer, clock, random: Math.random });
  } catch (error) {
    client.closeJob(job);
    throw error;
  }
  const end = (error: ClusterError) => {
    ps.close(error);
    client.unwatch(job);
    client.closeJob(job);
  };
  client.watch(job, {
    onStatus: ({ phase, message }) => {
      if (phase === "failed" || phase === "stopped")
        end(new ClusterError("JOB_FAILED", `the tables are gone: ${message ?? phase}; open them anew`));
    },
    // Without the coordinator the PS nodes serve on.
    onError: () => {},
  });
  const close = () =>
    end(new ClusterError("UNKNOWN_JOB", "these tables are closed; open them anew with cluster.tables()"));
  const tables = Object.fromEntries(specs.map((spec) => [spec.name, new PlainTable({ spec, client: ps.tables })]));
  return Object.freeze({ ...tables, close }) as Tables<Name>;
}

/** @throws {TypeError | RangeError} naming the table */
export function tableSpecsOf(tables: Readonly<Record<string, PlainTableOptions>>): TableSpec[] {
  const names = Object.keys(tables);
  if (names.length === 0)
    throw new TypeError('cluster.tables(): give at least one table, as { counts: { dim: 4, update: "sum" } }');
  return names.map((name, i) => {
    if (name === "close" || name.startsWith("~"))
      throw new TypeError(`table "${name}": this name is taken; give it another`);
    const table = tables[name]!;
    const spec = tableSpecSchema.safeParse({
      id: i + 1,
      name,
      dim: table.dim,
      ...(table.dtype === undefined ? {} : { dtype: table.dtype }),
      initializer: table.initializer ?? { kind: "zeros" },
      optimizer: optimizerOfTable(name, table),
      ...careOfTable(name, table),
    });
    if (spec.success) return spec.data;
    const issue = spec.error.issues[0]!;
    throw new RangeError(`table "${name}": ${issue.path.join(".")}: ${issue.message}`);
  });
}

function optimizerOfTable(name: string, { optimizer, update }: PlainTableOptions): OptimizerSpec {
  if ((optimizer === undefined) === (update === undefined)) {
    throw new TypeError(
      `table "${name}": give an optimizer, as ftrl(), or an update, one of ${quoted(PLAIN_UPDATES)} or plugin(file, name); not both`,
    );
  }
  if (typeof update === "string" && isPlainUpdate(update)) return { kind: update };
  try {
    const spec = optimizerSpecFrom((optimizer ?? update)!);
    if (!("schedule" in spec) || spec.schedule === undefined) return spec;
  } catch (cause) {
    const also = update === undefined ? "" : `; updates are ${quoted(PLAIN_UPDATES)} and plugin(file, name)`;
    throw new RangeError(`table "${name}": ${(cause as Error).message}${also}`, { cause });
  }
  throw new TypeError(
    `table "${name}": its learning rate has a schedule, and a table by itself has no steps; give a number`,
  );
}

/** Which keys get a row and which rows go. */
function careOfTable(
  name: string,
  { admit, evict }: PlainTableOptions,
): Partial<Pick<TableSpec, "admission" | "eviction">> {
  const refuse = (what: string): never => {
    throw new TypeError(`table "${name}": ${what}`);
  };
  if (admit !== undefined && !admissionSpecSchema.safeParse(admit).success)
    refuse(`admit is ${JSON.stringify(admit)}; make it with afterUpdates(3)`);
  if (evict !== undefined && !evictionSpecSchema.safeParse(evict).success)
    refuse(`evict is ${JSON.stringify(evict)}; make it with leastFrequent({ rowsMax: 1e6 })`);
  if (evict !== undefined && (evict.expireSteps !== undefined || evict.order === "least-recent")) {
    refuse(
      `evict is ${JSON.stringify(evict)}, which goes by steps, and a table by itself has none; ` +
        `use leastFrequent({ rowsMax: 1e6 })`,
    );
  }
  return { ...(admit && { admission: admit }), ...(evict && { eviction: evict }) };
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");

/** A job that is never run: of all that a manifest says, its tables alone are used. */
function manifestOfTables(tables: TableSpec[], { seed = 0, name = "tables" }: TablesOptions): JobManifest {
  return {
    name,
    seed,
    tables,
    model: { embeddings: [], numbers: [], variables: [], outputs: 1 },
    data: { format: { kind: "table" }, files: [{ kind: "file", path: "none" }], fields: {}, badRowsMax: 0 },
    compile: { optimizer: { kind: "none" }, loss: "meanSquaredError", metrics: [] },
    fit: { epochs: 1, batchSize: 1, consistency: { mode: "bsp" }, shuffle: false, validate: "end" },
    workersMin: 1,
  };
}
