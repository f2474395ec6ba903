/** One simulated life of a cluster: sizes, load, faults and their times are drawn from one seed. */
import { consistencyOf } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import { NO_SABOTAGE, type Sabotages } from "@volary/core/sabotage";
import { seededRandom } from "@volary/core/testing";
import { calmRun } from "./calm-run.ts";
import { faultsOfBatches } from "./check-batches.ts";
import { faultsOfOwn } from "./check-own.ts";
import { faultsOfPushes } from "./check-pushes.ts";
import { faultsOfReads } from "./check-reads.ts";
import { faultsOfReplicas } from "./check-replicas.ts";
import { checkRun, faultsOfComparison } from "./check-run.ts";
import { faultsOfStaleness } from "./check-staleness.ts";
import { faultsOfVolunteers } from "./check-volunteers.ts";
import { countingManifest } from "./counting-job.ts";
import { NO_FAULTS } from "./fault-kinds.ts";
import { Faults } from "./faults.ts";
import { Ledger } from "./ledger.ts";
import { runPlain, type PlainResult } from "./plain-run.ts";
import { SeedModels } from "./seed-models.ts";
import { seedPlan, type SeedPlan, type Training } from "./seed-plan.ts";
import type { Checker, Fault, SeedCounts, SeedResult } from "./seed-result.ts";
import type { SimulatedClient } from "./simulated-client.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import { NO_VOLUNTEERS, SimulatedVolunteers } from "./simulated-volunteers.ts";
import { toyManifest } from "./toy-job.ts";
import { runTraining, type FinishedJob } from "./training-run.ts";
import { VolunteerFaults } from "./volunteer-faults.ts";

/** Once faults are over, everything is answered within this time. */
const LIMIT_MS = 180_000;
/** Of weights that volunteers helped to count: one sample more or less is 0.5 at least. */
const TOLERANCE = 0.05;
const FAULTS_SALT = 0xfa17;
const LOAD_SALT = 0x10ad;
const TABS_SALT = 0x7ab5;
/** Partitions that have stayed where they are for so long have left no trace elsewhere. */
const SETTLED_MS = 1000;

export async function runSeed(
  seed: number,
  { sabotages = NO_SABOTAGE }: { sabotages?: Sabotages } = {},
): Promise<SeedResult> {
  const plan = seedPlan(seed);
  const life = new SeedLife(plan, sabotages);
  const faults = await life.run();
  return { seed, ...life.counts, faults, trace: life.cluster.trace };
}

class SeedLife {
  readonly cluster: SimulatedCluster;
  readonly #plan: SeedPlan;
  readonly #ledger: Ledger;
  readonly #models: SeedModels;
  #faults: Faults | undefined;
  #volunteers: SimulatedVolunteers | undefined;
  #finished: FinishedJob | undefined;
  #restarted = { failovers: 0, moves: 0 };

  constructor(plan: SeedPlan, sabotages: Sabotages) {
    this.#plan = plan;
    this.#models = new SeedModels(plan.training, seededRandom((plan.seed ^ LOAD_SALT) >>> 0));
    this.cluster = new SimulatedCluster({
      ...plan,
      sabotages,
      reducer: plan.training?.volunteers?.reducer,
      openModel: ({ host }) => this.#models.ofWorker(host),
    });
    this.#ledger = new Ledger(() => this.cluster.clock.now());
  }

  get counts(): SeedCounts {
    const { cluster } = this;
    const { commits = [], terms = [], history, status: job } = this.#finished ?? {};
    const status = cluster.status;
    return {
      ...(this.#faults?.counts ?? NO_FAULTS),
      ...(this.#volunteers?.counts ?? NO_VOLUNTEERS),
      terms: terms.length,
      commits: commits.length,
      repeats: commits.filter(({ attempt }, i) => i > 0 && attempt !== commits[i - 1]!.attempt).length,
      validations: Math.max(0, (history?.validations.length ?? 0) - 1),
      earlyEnds: job && commits.length < job.steps ? 1 : 0,
      batches: job?.batches?.finished ?? 0,
      repeatedBatches: job?.batches?.repeated ?? 0,
      droppedBatches: job?.batches?.dropped ?? 0,
      rounds: job?.batches?.rounds ?? 0,
      failovers: this.#restarted.failovers + (status?.failovers ?? 0),
      moves: this.#restarted.moves + (status?.moves ?? 0),
      reorders: cluster.reorders,
      copies: cluster.counter("copies"),
      pushes: cluster.counter("pushes"),
      directPushes: cluster.counter("directPushes"),
      reads: this.#ledger.operations.filter(({ kind, outcome }) => kind === "get" && outcome === "done").length,
      unknownKeys: cluster.counter("unknownKeys"),
      spilled: cluster.spilled,
    };
  }

  async run(): Promise<Fault[]> {
    const { cluster } = this;
    const found: Fault[] = [];
    try {
      found.push(...(await cluster.clock.until(this.#live(), { limitMs: LIMIT_MS })));
    } catch (error) {
      if (this.#isOutOfRoom) return [];
      const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const isLate = message.includes("what was waited for did not come");
      found.push({ checker: isLate ? "liveness" : "errors", message: isLate ? this.#unanswered() : message });
    }
    cluster.stop();
    return [...found, ...cluster.faults.map((message): Fault => ({ checker: "errors", message }))];
  }

  async #live(): Promise<Fault[]> {
    const { cluster } = this;
    const { seed, psNodes, training, clients, load, replicas, faults: plan } = this.#plan;
    await cluster.startCoordinator();
    for (let i = 0; i < psNodes; i++) cluster.startPsNode(`ps-${i}`);
    await this.#until(() => this.#isWhole);
    for (let i = 0; i < (training?.workers ?? 0); i++) await cluster.startWorker(`worker-${i}`);
    const trainer = cluster.client("trainer");
    const operator = cluster.client("operator");
    const tableClients = Array.from({ length: clients }, (_, i) => cluster.client(`client-${i}`));
    const faults = new Faults({
      cluster,
      random: seededRandom((seed ^ FAULTS_SALT) >>> 0),
      plan,
      workers: training?.workers ?? 0,
      clients: tableClients,
      operator,
      replicas,
    });
    this.#faults = faults;
    const volunteers = this.#openVolunteers(operator);
    const over = Promise.all([faults.run(), volunteers?.faults.run()]).then(() => cluster.note("no more faults"));
    const untilRead = over.then(() => this.#until(() => this.#isWhole));
    const manifest = training && manifestOf(seed, training);
    const [plain, finished] = await Promise.all([
      clients === 0
        ? undefined
        : runPlain({
            clients: tableClients,
            seed,
            random: seededRandom((seed ^ LOAD_SALT ^ 1) >>> 0),
            ledger: this.#ledger,
            load,
            mayBeFull: this.#plan.roomBytes !== undefined,
            untilRead,
          }),
      manifest &&
        runTraining({
          client: trainer,
          manifest,
          onSubmitted: (job) => void volunteers?.all.invite(job),
          finishAfterMs: training.finishAfterMs,
          untilRead,
        }),
      untilRead,
    ]);
    this.#finished = finished;
    await this.#until(() => volunteers?.all.areDone ?? true);
    await this.#settled();
    const found = faults.errors.map((message): Fault => ({ checker: "errors", message }));
    found.push(...as("replicas", this.#checkReplicas([plain, finished])));
    if (plain) found.push(...this.#checkPlain(plain));
    if (finished) found.push(...(await this.#checkTraining(finished, manifest!, training!)));
    return found;
  }

  #openVolunteers(operator: SimulatedClient): { all: SimulatedVolunteers; faults: VolunteerFaults } | undefined {
    const { seed, training } = this.#plan;
    const plan = training?.volunteers;
    if (!plan) return undefined;
    const { cluster } = this;
    const all = new SimulatedVolunteers({ cluster, plan, seed, operator, models: this.#models });
    this.#volunteers = all;
    const random = seededRandom((seed ^ TABS_SALT) >>> 0);
    return { all, faults: new VolunteerFaults({ cluster, volunteers: all, random, plan: plan.faults }) };
  }

  /** Has every partition all its replicas, and is none being moved? */
  get #isWhole(): boolean {
    const { nodes, coordinator, status } = this.cluster;
    const { map } = coordinator ?? {};
    if (!map || map.nodes.length !== nodes.length || !status?.nodes.every(({ alive }) => alive)) return false;
    const wanted = this.#replicas;
    return map.entries.every(({ chain, next, held }) => chain.length === wanted && !next && !held);
  }

  /**
   * Has a job ended because rows of a partition had no room on one node while another one was lost? Faults go by the
   * replicas that are there as they begin; which of them run out of room later nobody can tell.
   */
  get #isOutOfRoom(): boolean {
    const { status, trace } = this.cluster;
    return (
      this.#plan.roomBytes !== undefined &&
      trace.some((line) => line.includes("has no replica on PS node") && line.includes("no room for ")) &&
      status?.jobs.some(({ phase, message }) => phase === "failed" && message?.includes("have no replica")) === true
    );
  }

  /** How many replicas each partition should have, by the nodes that are there. */
  get #replicas(): number {
    const takers = this.cluster.status?.nodes.filter(({ draining }) => !draining);
    return Math.min(this.#plan.replicas, takers?.length ?? 0);
  }

  #checkReplicas(jobs: readonly ({ job: number } | undefined)[]): string[] {
    const { cluster } = this;
    const nodes = cluster.nodes.flatMap((name) => {
      const node = cluster.node(name)?.node;
      return node
        ? { node: node.node, mapVersion: node.map?.version, digests: (job: number) => node.digests(job) }
        : [];
    });
    return faultsOfReplicas({
      map: cluster.coordinator!.map!,
      nodes,
      jobs: jobs.flatMap((job) => job?.job ?? []),
      replicas: this.#replicas,
    });
  }

  #checkPlain({ rows, faults, late }: PlainResult): Fault[] {
    const ledger = this.#ledger;
    return [
      ...as("errors", faults),
      ...as("liveness", late > 0 ? [`${late} requests were given up`] : []),
      ...as("pushes", faultsOfPushes({ ledger, rows })),
      ...as("reads", faultsOfReads(ledger)),
      ...as("own rows", faultsOfOwn({ ledger, rows, seed: this.#plan.seed })),
    ];
  }

  async #checkTraining(finished: FinishedJob, manifest: JobManifest, training: Training): Promise<Fault[]> {
    // A step that is too much for what little memory there is ends its job, as it should.
    if (this.#plan.roomBytes !== undefined && finished.status.message?.includes("no room for ")) return [];
    const messages = this.cluster.messages.of(finished.job);
    const wasFinished = training.finishAfterMs !== undefined;
    const tolerance = training.volunteers ? TOLERANCE : 0;
    const { steps, rows } = await checkRun({ manifest, finished, messages, wasFinished, tolerance });
    const found = [...as("steps", steps), ...as("training", rows)];
    const { consistency } = manifest.fit;
    if (training.volunteers) {
      const { all, errors } = this.#volunteers!;
      const plan = training.volunteers;
      found.push(...as("volunteers", faultsOfVolunteers({ volunteers: all, manifest, plan })), ...as("errors", errors));
    }
    if (consistencyOf(consistency).work === "batches")
      found.push(...as("batches", faultsOfBatches({ manifest, finished, messages })));
    if (consistency.mode === "ssp")
      found.push(...as("staleness", faultsOfStaleness(messages, consistency.stalenessSteps)));
    if (!training.isCompared || finished.status.phase !== "done") return found;
    const { partitionFunction } = this.#plan;
    const calm = await calmRun({ manifest, workers: training.workers, partitionFunction });
    return [...found, ...as("same bits", faultsOfComparison(finished, calm))];
  }

  /** Moves for balance may begin late. */
  async #settled(): Promise<void> {
    const isStill = () => this.#isWhole && this.cluster.isSaved;
    let version: number | undefined;
    do {
      await this.#until(isStill);
      version = this.cluster.coordinator?.map?.version;
      await this.#pause(SETTLED_MS);
    } while (!isStill() || this.cluster.coordinator?.map?.version !== version);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#pause(50);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.cluster.clock.after(ms, resolve));
  }

  /** What was still waited for when the time was up. */
  #unanswered(): string {
    const open = this.#ledger.operations.filter(({ outcome }) => outcome === "open").length;
    const { status } = this.cluster;
    const jobs = status?.jobs.map(
      ({ job, phase, step, steps }) => `job ${job} is ${phase} at step ${step} of ${steps}`,
    );
    const up = this.cluster.nodes.join(", ");
    return `not over after ${LIMIT_MS / 1000} s: ${open} requests of clients wait; ${jobs?.join(", ")}; chains ${JSON.stringify(status?.chains)}; nodes ${status?.nodes.map(({ name }) => name).join(", ")} of ${up}`;
  }
}

function manifestOf(seed: number, { workers, fit, care, isCounting }: Training): JobManifest {
  const of = { workersMin: workers, seed, fit, care };
  return isCounting ? countingManifest(of) : toyManifest(of);
}

function as(checker: Checker, messages: readonly string[]): Fault[] {
  return messages.map((message) => ({ checker, message }));
}
