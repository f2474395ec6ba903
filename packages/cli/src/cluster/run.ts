/**
 * A job that has been trained and evaluated. Its rows lie on the PS nodes until it is closed, so that they can be
 * saved, looked at and predicted with.
 */
import type { ExportedRows } from "@volary/core/client";
import type { Batch, DataSpec, Split } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { LayersModel } from "@volary/core/model";
import type { Plugins } from "@volary/core/plugin";
import { CommittedRows, readDense, type StepRows } from "@volary/core/training";
import type { JobStatus, StepNews, ValidationNews } from "@volary/core/wire";
import type { DeviceName } from "@volary/node-worker";
import { setTimeout as delay } from "node:timers/promises";
import type { ArrayData } from "../scoring/array-table.ts";
import type { Commits, CoordinatorClient } from "./coordinator-client.ts";
import type { PsLinks } from "./ps-links.ts";
import type { History, RunHistory } from "./run-history.ts";
import type { ColumnArrays } from "../scoring/scored-data.ts";
import type { Predictions, TrainedRows } from "../scoring/scored-rows.ts";
import { saveModel, type SavedSize } from "../saved-model/saved-model.ts";

/** How rows are scored in this process. */
export interface ScoreOptions {
  /** Of this process: the first that works, unless said otherwise. */
  device?: DeviceName | undefined;
  /**
   * Of files, only the rows that are held out, or only those that are not: as the `test` of the data says, or else that
   * of the job's own data. All rows, unless said otherwise.
   */
  split?: Split | undefined;
}

export interface RunOptions {
  manifest: JobManifest;
  status: JobStatus;
  history: RunHistory;
  client: CoordinatorClient;
  ps: PsLinks;
  plugins: Plugins;
  baseDirs: readonly string[];
  /** Takes away what was hosted for the job. */
  onClose: () => Promise<void>;
}

/**
 * A job that has been trained and evaluated, as `cluster.fit` and `cluster.train` give it. Its rows stay on the PS nodes
 * until it is closed.
 *
 * @example
 * console.log(run.metrics["auc"], run.history.history["val_loss"]);
 * const { values } = await run.predict({ user: [7n], item: [12n] });
 * await run.save("runs/clicks");
 * run.close();
 */
export class Run {
  /** Number of the job in its cluster. */
  readonly job: number;
  /** The job as data, every default written out. */
  readonly manifest: JobManifest;
  /** The coordinator's last word. */
  readonly status: JobStatus;
  readonly #o: RunOptions;
  #isClosed = false;

  /** @internal */
  constructor(o: RunOptions) {
    this.job = o.status.job;
    this.manifest = o.manifest;
    this.status = o.status;
    this.#o = o;
  }

  /** Of the held-out rows; empty when there are none. */
  get metrics(): Record<string, number> {
    return this.status.metrics ?? {};
  }

  /** Loss and validation metrics of each epoch, as tfjs's `History`. */
  get history(): History {
    return this.#o.history.byEpoch;
  }

  /** The training loss of every step. */
  get steps(): readonly StepNews[] {
    return this.#o.history.steps;
  }

  /** Every evaluation of the held-out rows with the step after which it was; the last one is `metrics`. */
  get validations(): readonly ValidationNews[] {
    return this.#o.history.validations;
  }

  /** Wall time from the first step to the last. */
  get trainSeconds(): number {
    return this.status.trainSeconds;
  }

  /** Of training, over all workers. */
  get samplesPerSecond(): number {
    const { samples, trainSeconds } = this.status;
    return trainSeconds > 0 ? samples / trainSeconds : 0;
  }

  /**
   * The job's metrics and its loss: without `data`, those of the held-out rows as training left them; otherwise those of
   * all rows of the data, those trained on among them, unless `split: "test"` says otherwise. They are read and scored in
   * this process.
   *
   * @param data as what the job was trained on: files, or arrays by column
   * @throws {TypeError} a split of arrays, or where nothing is held out
   * @throws {RangeError} the run is closed
   * @throws {ClusterError} BAD_DATA, PARTITION_UNAVAILABLE
   */
  async evaluate(data?: DataSpec | ArrayData, options: ScoreOptions = {}): Promise<Record<string, number>> {
    if (data === undefined) return this.metrics;
    this.#checkOpen();
    const [{ evaluateRows }, { openForEvaluation }] = await Promise.all([
      import("../scoring/scored-rows.ts"),
      import("../scoring/scored-data.ts"),
    ]);
    const rows = await openForEvaluation(this.manifest, data, { baseDirs: this.#o.baseDirs, split: options.split });
    try {
      return await evaluateRows(await this.#trained(options), rows);
    } finally {
      await rows.dataset.close();
    }
  }

  /**
   * What the model says of rows, computed in this process from the rows of the PS nodes: of all rows of the data, held
   * out or not, unless `split: "test"` says otherwise. Of a bad row, of which files may have as many as their `badRowsMax`
   * says, it is NaN.
   *
   * @param data files, or arrays by column; labels are not needed
   * @throws {TypeError} a split of arrays, or where nothing is held out
   * @throws {RangeError} the run is closed
   * @throws {ClusterError} BAD_DATA, PARTITION_UNAVAILABLE
   * @example const { values } = await run.predict({ user: [7n, 8n], item: ["a", "b"] });
   * @example const { values } = await run.predict(csv("clicks.csv", { … }), { split: "test" });
   */
  async predict(data: DataSpec | ColumnArrays, options: ScoreOptions = {}): Promise<Predictions> {
    this.#checkOpen();
    const [{ predictRows }, { openForPrediction }] = await Promise.all([
      import("../scoring/scored-rows.ts"),
      import("../scoring/scored-data.ts"),
    ]);
    const rows = await openForPrediction(this.manifest, data, { baseDirs: this.#o.baseDirs, split: options.split });
    try {
      return await predictRows(await this.#trained(options), rows);
    } finally {
      await rows.dataset.close();
    }
  }

  /**
   * The trained model as tfjs has it. The caller disposes it.
   *
   * @throws {TypeError} it has embedding tables, whose rows no tfjs model can hold
   */
  async model(): Promise<LayersModel> {
    const { trainedModel } = await import("@volary/core/model");
    return trainedModel(this.manifest, await this.denseWeights());
  }

  /** Rows and bytes on the cluster's PS nodes, of all its jobs. Nodes report them twice a second, so it waits that long. */
  async usage(): Promise<{ rows: number; bytes: number }> {
    await delay(2 * LIMITS.heartbeatEveryMs);
    const { nodes } = await this.#o.client.status();
    return {
      rows: nodes.reduce((sum, node) => sum + node.rows, 0),
      bytes: nodes.reduce((sum, node) => sum + node.bytes, 0),
    };
  }

  /** Which attempt each step was committed under, and the members of each term. */
  commits(): Promise<Commits> {
    return this.#o.client.commits(this.job);
  }

  /**
   * Streams the rows of one embedding table, in no particular order.
   *
   * @throws {RangeError} no such table, or the run is closed
   * @throws {ClusterError} PARTITION_UNAVAILABLE
   */
  rowsOf(table: string): AsyncGenerator<ExportedRows> {
    this.#checkOpen();
    const spec = this.manifest.tables.find(({ name }) => name === table);
    if (spec) return this.#o.ps.tables.export(spec);
    const names = this.manifest.tables.map(({ name }) => `"${name}"`).join(", ");
    throw new RangeError(`job "${this.manifest.name}" has no table "${table}"; its tables are ${names || "none"}`);
  }

  /** The dense weights: float32, all variables in order; the caller owns it. */
  async denseWeights(): Promise<Float32Array> {
    this.#checkOpen();
    return readDense(this.#o.ps.tables, this.manifest.model.variables);
  }

  /** Saves the model to a folder, over one that lies there. */
  async save(folder: string): Promise<SavedSize> {
    return saveModel(folder, {
      manifest: this.manifest,
      metrics: this.metrics,
      dense: await this.denseWeights(),
      rowsOf: (table) => this.#o.ps.tables.export(table),
    });
  }

  /** Gives the job's rows up, and what was hosted for it. */
  close(): void {
    this.#isClosed = true;
    this.#o.ps.close();
    this.#o.client.closeJob(this.job);
    this.#o.onClose().catch(() => {});
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw new RangeError(
      `job "${this.manifest.name}": the run is closed, and its rows are given up; predict, evaluate and save before ` +
        `run.close()`,
    );
  }

  async #trained({ device }: ScoreOptions): Promise<TrainedRows> {
    const { ps, plugins } = this.#o;
    const { job, links, requests, clock } = ps;
    const committed = new CommittedRows({ job, manifest: this.manifest, links, requests, clock });
    const rowsOf = (batch: Batch): Promise<StepRows> => committed.pull(batch);
    return { manifest: this.manifest, plugins, dense: await this.denseWeights(), rowsOf, device };
  }
}
