/** A cluster for code: one on this machine's loopback, or one that runs somewhere; then train on it. */
import { ClusterError } from "@volary/core/errors";
import type { ColumnTable } from "@volary/core/data";
import type { JobDefinition, LayersModel, PreparedJob } from "@volary/core/model";
import type { Plugins } from "@volary/core/plugin";
import { writeDense } from "@volary/core/training";
import type { ClusterStatus, Dialer } from "@volary/core/wire";
import { CoordinatorClient } from "./coordinator-client.ts";
import { dialer, dialerOn, realClock } from "./dialer.ts";
import { inviteOf, jobToHelp, linksOf, type InviteOptions, type JoinLinks } from "./invitation.ts";
import { deathText, LocalCluster, type ClusterProcess, type Death, type LocalClusterOptions } from "./local-cluster.ts";
import { openPsLinks, type PsLinks } from "./ps-links.ts";
import type { FitData, SameFields } from "./fit-data.ts";
import { Run } from "./run.ts";
import { RunHistory } from "./run-history.ts";
import { hostAsFiles, hostOverHttp } from "./table-host.ts";
import { writeTableRows } from "./table-rows.ts";
import { openTables, type PlainTableOptions, type Tables, type TablesOptions } from "./tables.ts";
import type { FitOptions, TrainOptions } from "./train-options.ts";
import { runToEnd } from "./watched-job.ts";
import { WorkerDeaths } from "./worker-deaths.ts";
import { loadPlugins, type PluginFile } from "../plugin-file.ts";
import { withoutGreeting } from "../tfjs-greeting.ts";

/** Options of `Cluster.connect`. */
export interface ConnectOptions {
  /**
   * Plugin files whose functions jobs name. A local cluster's processes load them too; those of a cluster that runs
   * elsewhere must have been started with the same files.
   */
  plugins?: readonly PluginFile[] | undefined;
  /** Where data that this process reads is looked for, as for statistics of fields; its folder unless said otherwise. */
  baseDir?: string | undefined;
  /** Told what a person should know but what is no failure; Node's warnings unless said otherwise. */
  onWarning?: ((message: string) => void) | undefined;
  /**
   * What is sent to other machines need not be masked, which is faster: nothing between here and there takes it for
   * HTTP. What stays on this machine never is.
   */
  trustedNetwork?: boolean | undefined;
}

/** Options of `Cluster.local`: 2 PS nodes and 2 workers unless said otherwise. */
export interface LocalOptions
  extends Partial<Omit<LocalClusterOptions, "onDeath">>, Omit<ConnectOptions, "trustedNetwork"> {}

const CLIENT_NAME = `client-${process.pid}`;

/**
 * A cluster to train on, of this machine or elsewhere; made by `Cluster.local` or `Cluster.connect`.
 *
 * @example
 * const cluster = await Cluster.local({ ps: 2, workers: 2 });
 * const run = await cluster.fit(model, data, { epochs: 3, batchSize: 4096 });
 * await run.save("runs/clicks");
 * await cluster.stop();
 */
export class Cluster {
  readonly #client: CoordinatorClient;
  readonly #dialer: Dialer;
  readonly #local: LocalCluster | undefined;
  readonly #deaths: WorkerDeaths;
  readonly #warn: (message: string) => void;
  readonly #plugins: Plugins;
  /** Where data that is read here is looked for. */
  readonly #baseDirs: readonly string[];

  private constructor(o: {
    client: CoordinatorClient;
    dialer: Dialer;
    plugins: Plugins;
    local?: LocalCluster;
    deaths?: WorkerDeaths;
    baseDir: string;
    warn: (message: string) => void;
  }) {
    this.#client = o.client;
    this.#dialer = o.dialer;
    this.#local = o.local;
    this.#deaths = o.deaths ?? new WorkerDeaths();
    this.#baseDirs = [o.baseDir];
    this.#warn = o.warn;
    this.#plugins = o.plugins;
  }

  /**
   * Starts a coordinator, PS nodes and workers as processes on this machine's loopback.
   *
   * @throws {RangeError} impossible numbers
   * @throws {UserError} a process did not start: which, and what it said; a plugin file cannot be loaded
   */
  static async local({ ps = 2, workers = 2, onWarning, ...options }: LocalOptions = {}): Promise<Cluster> {
    const warn = onWarning ?? emitWarning;
    const plugins = await loadPlugins(options.plugins ?? []);
    const deaths = new WorkerDeaths();
    const { baseDir = process.cwd() } = options;
    const onDeath = (death: Death) => {
      warn(deathText(death));
      deaths.add(death);
    };
    const local = await LocalCluster.start({ ...options, ps, workers, onDeath });
    try {
      const client = await connectTo(local.address, dialer);
      return new Cluster({ client, dialer, plugins, local, deaths, baseDir, warn });
    } catch (error) {
      await local.stop();
      throw error;
    }
  }

  /**
   * Connects to a running cluster.
   *
   * @param address of its coordinator, ws://host:port or wss://host
   * @throws {ClusterError} COORDINATOR_UNAVAILABLE, PROTOCOL_VERSION, TIMEOUT
   */
  static async connect(
    address: string,
    { onWarning = emitWarning, plugins: files = [], baseDir = process.cwd(), trustedNetwork }: ConnectOptions = {},
  ): Promise<Cluster> {
    const plugins = await loadPlugins(files);
    const links = dialerOn({ trustedNetwork });
    const client = await connectTo(address, links);
    return new Cluster({ client, dialer: links, plugins, baseDir, warn: onWarning });
  }

  /** Of the coordinator. */
  get address(): string {
    return this.#client.address;
  }

  /** Where volunteers on this machine reach a local cluster; of one that runs elsewhere, `status()` tells. */
  get gateway(): string | undefined {
    return this.#local?.gateway;
  }

  /** The page that shows operators how the cluster does. */
  get dashboard(): string {
    return `${this.address.replace(/^ws/, "http").replace(/\/+$/, "")}/`;
  }

  /** The processes of a local cluster; none of a cluster that runs elsewhere. */
  get processes(): readonly ClusterProcess[] {
    return this.#local?.processes ?? [];
  }

  /**
   * Members, jobs and how busy they are, now.
   *
   * @throws {ClusterError} COORDINATOR_UNAVAILABLE
   */
  status(): Promise<ClusterStatus> {
    return this.#client.status();
  }

  /**
   * Has the others take over what a PS node holds. Training and tables go on meanwhile. It may be stopped once the
   * status shows that it holds nothing: neither `partitions` nor `replicas`.
   *
   * @param node its name, as in the status
   * @throws {ClusterError} no such node; COORDINATOR_UNAVAILABLE
   */
  drain(node: string): Promise<void> {
    return this.#client.drain(node);
  }

  /**
   * Makes links that let volunteers help a job with their browsers, or observers watch it, each one person.
   *
   * @throws {RangeError} impossible numbers
   * @throws {ClusterError} UNKNOWN_JOB: no such job, or not clear which; BAD_JOB: it needs code that no browser has, or
   * is over; NOT_A_MEMBER: the cluster has no gateway; COORDINATOR_UNAVAILABLE
   * @example
   * const { links } = await cluster.invite({ uses: 2, by: "Ada", about: "Which flights are late?" });
   */
  async invite(options: InviteOptions = {}): Promise<JoinLinks> {
    const { job, name } = jobToHelp(await this.status(), options.job);
    const invite = inviteOf(options, job);
    const invited = await this.#client.invite(invite);
    return { job, name, links: linksOf(invited, options.gateway), validMs: invite.validMs };
  }

  /**
   * Opens tables by themselves, for algorithms that are no neural net: pull, push, set and get by key.
   *
   * @throws {TypeError | RangeError} a table that makes no sense: which, and the remedy
   * @throws {ClusterError} PARTITION_UNAVAILABLE; BAD_JOB: a PS node has not loaded the plugin of an update
   * @example
   * const tables = await cluster.tables({ weights: { dim: 1, optimizer: ftrl({ l1: 1 }) } });
   * const weights = await tables.weights.pull(keys);
   * await tables.weights.push(keys, gradients);
   */
  tables<Name extends string>(
    tables: Readonly<Record<Name, PlainTableOptions>>,
    options: TablesOptions = {},
  ): Promise<Tables<Name>> {
    const [client, links] = [this.#client, this.#dialer];
    return openTables({ tables, options, client, name: CLIENT_NAME, dialer: links, clock: realClock });
  }

  /**
   * Trains a job to its end and evaluates it on the held-out rows.
   *
   * @throws {ClusterError} JOB_FAILED, JOB_STOPPED (by `signal` too), NO_WORKERS, COORDINATOR_UNAVAILABLE, …
   * @throws {TypeError | RangeError} the job does not make sense: where, and the remedy
   */
  async train(definition: JobDefinition, options: TrainOptions = {}): Promise<Run> {
    return this.#train({
      options,
      prepare: async (workersMin) => {
        // tfjs takes a second to load, and whoever looks at a cluster's status has no use for it.
        const { manifestOf } = await import("@volary/core/model");
        return { ...(await manifestOf(definition, { workersMin, plugins: this.#plugins })), close: async () => {} };
      },
    });
  }

  /**
   * Trains a model, as `model.fit` of tfjs does, but on this cluster. The model itself is left as it is: the trained
   * one is the run's.
   *
   * Embeddings may be Volary's or tfjs's own, whose rows become tables. Inputs take the fields, or arrays, of their
   * names. A model that was compiled is trained with its optimizer, loss and metrics, unless `compile` says otherwise.
   *
   * @throws {ClusterError} JOB_FAILED, JOB_STOPPED (by `signal` too), NO_WORKERS, COORDINATOR_UNAVAILABLE, …
   * @throws {TypeError | RangeError} model, data and options do not fit each other: where, and the remedy
   * @example
   * model.compile({ optimizer: "adam", loss: "binaryCrossentropy" });
   * const run = await cluster.fit(model, { x: { user, item }, y: clicked }, { epochs: 5, batchSize: 4096 });
   * const { values } = await run.predict({ user: [7n], item: [12n] });
   */
  async fit<const Fields extends string, const Held extends string = Fields>(
    model: LayersModel,
    data: FitData<Fields>,
    options: FitOptions<Held> & SameFields<NoInfer<Fields>, Held> = {},
  ): Promise<Run> {
    return this.#train({
      options,
      model,
      prepare: async (workersMin) => {
        const { fitJob } = await import("./fit-job.ts");
        const where = this.#local ? "local" : "remote";
        const host = this.#local
          ? hostAsFiles
          : (tables: readonly ColumnTable[]) => hostOverHttp(tables, { coordinator: this.address });
        return fitJob({ model, data, options, workersMin, plugins: this.#plugins, where, host });
      },
    });
  }

  /** Leaves the cluster; ends it if it is a local one. */
  async stop(): Promise<void> {
    this.#client.close();
    await this.#local?.stop();
  }

  /** Ends a local cluster at once. */
  kill(): void {
    this.#local?.kill();
  }

  async #train(o: {
    options: TrainOptions;
    model?: LayersModel;
    prepare: (workersMin: number) => Promise<PreparedJob & { close(): Promise<void> }>;
  }): Promise<Run> {
    o.options.signal?.throwIfAborted();
    const deadBefore = this.#deaths.workers;
    const { workers } = await this.status();
    const prepared = await withoutGreeting(() => o.prepare(o.options.workersMin ?? Math.max(1, workers.length)));
    let ps: PsLinks | undefined;
    let job: number | undefined;
    try {
      const { fittedData } = await import("./fitted-data.ts");
      const baseDirs = this.#baseDirs;
      const manifest = { ...prepared.manifest, data: await fittedData(prepared.manifest.data, { baseDirs }) };
      prepared.warnings.forEach((warning) => this.#warn(`job "${manifest.name}": ${warning}`));
      o.options.onSummary?.(prepared.summary);
      const submitted = await this.#client.submit(manifest);
      job = submitted.job;
      const client = this.#client;
      ps = await openPsLinks({ ...submitted, client, name: CLIENT_NAME, dialer: this.#dialer, clock: realClock });
      await writeDense(ps.tables, manifest.model.variables, prepared.denseWeights);
      await writeTableRows(ps.tables, manifest, prepared.tableRows);
      const history = new RunHistory();
      const ever = deadBefore + workers.length;
      const status = await runToEnd({
        job,
        manifest,
        client,
        options: o.options,
        history,
        model: o.model,
        workers: this.#local ? { deaths: this.#deaths, ever } : undefined,
      });
      const plugins = this.#plugins;
      return new Run({ manifest, status, history, client, ps, plugins, baseDirs, onClose: () => prepared.close() });
    } catch (error) {
      ps?.close();
      if (job !== undefined) this.#client.closeJob(job);
      await prepared.close();
      throw error;
    }
  }
}

async function connectTo(address: string, links: Dialer): Promise<CoordinatorClient> {
  try {
    return await CoordinatorClient.connect({ address, name: CLIENT_NAME, dialer: links, clock: realClock });
  } catch (cause) {
    if (!(cause instanceof ClusterError) || cause.code !== "COORDINATOR_UNAVAILABLE") throw cause;
    const remedy = "is a coordinator running there? `volary up` starts a whole cluster on this machine";
    throw new ClusterError(cause.code, `${cause.message}; ${remedy}`, { cause });
  }
}

const emitWarning = (message: string): void => process.emitWarning(message, "VolaryWarning");
