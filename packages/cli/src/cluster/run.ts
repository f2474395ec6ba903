/**
 * A job that has been trained and evaluated. Its rows lie on the PS nodes until it is closed, so that they can be
 * saved and looked at.
 */
import type { ExportedRows } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { readDense } from "@volary/core/training";
import type { JobStatus } from "@volary/core/wire";
import { setTimeout as delay } from "node:timers/promises";
import type { Commits, CoordinatorClient } from "./coordinator-client.ts";
import type { PsLinks } from "./ps-links.ts";
import { saveModel, type SavedSize } from "../saved-model/saved-model.ts";

export class Run {
  readonly job: number;
  readonly manifest: JobManifest;
  /** The coordinator's last word. */
  readonly status: JobStatus;
  readonly #client: CoordinatorClient;
  readonly #ps: PsLinks;

  constructor(o: { manifest: JobManifest; status: JobStatus; client: CoordinatorClient; ps: PsLinks }) {
    this.job = o.status.job;
    this.manifest = o.manifest;
    this.status = o.status;
    this.#client = o.client;
    this.#ps = o.ps;
  }

  /** Of the held-out rows; empty when there are none. */
  get metrics(): Record<string, number> {
    return this.status.metrics ?? {};
  }

  get trainSeconds(): number {
    return this.status.trainSeconds;
  }

  get samplesPerSecond(): number {
    const { samples, trainSeconds } = this.status;
    return trainSeconds > 0 ? samples / trainSeconds : 0;
  }

  /** Rows and bytes on the cluster's PS nodes, of all its jobs. Nodes report them twice a second, so it waits that long. */
  async usage(): Promise<{ rows: number; bytes: number }> {
    await delay(2 * LIMITS.heartbeatEveryMs);
    const { nodes } = await this.#client.status();
    return {
      rows: nodes.reduce((sum, node) => sum + node.rows, 0),
      bytes: nodes.reduce((sum, node) => sum + node.bytes, 0),
    };
  }

  /** Which attempt each step was committed under, and the members of each term. */
  commits(): Promise<Commits> {
    return this.#client.commits(this.job);
  }

  /**
   * Streams the rows of one embedding table, in no particular order.
   *
   * @throws {RangeError} no such table
   * @throws {ClusterError} PARTITION_UNAVAILABLE
   */
  rowsOf(table: string): AsyncGenerator<ExportedRows> {
    const spec = this.manifest.tables.find(({ name }) => name === table);
    if (spec) return this.#ps.tables.export(spec);
    const names = this.manifest.tables.map(({ name }) => `"${name}"`).join(", ");
    throw new RangeError(`job "${this.manifest.name}" has no table "${table}"; its tables are ${names || "none"}`);
  }

  /** The dense weights: float32, all variables in order; the caller owns it. */
  denseWeights(): Promise<Float32Array> {
    return readDense(this.#ps.tables, this.manifest.model.variables);
  }

  /** Saves the model to a folder, over one that lies there. */
  async save(folder: string): Promise<SavedSize> {
    return saveModel(folder, {
      manifest: this.manifest,
      metrics: this.metrics,
      dense: await this.denseWeights(),
      rowsOf: (table) => this.#ps.tables.export(table),
    });
  }

  /** Gives the job's rows up. */
  close(): void {
    this.#ps.close();
    this.#client.closeJob(this.job);
  }
}
