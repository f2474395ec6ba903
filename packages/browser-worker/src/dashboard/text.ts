/** Every word of the dashboard that is not data, for translation. */
import { grouped, short } from "@volary/core/figures";
import type { ClusterEvent, ClusterStatus, JobPhase, LeafStatus } from "@volary/core/wire";

const PHASES: Record<JobPhase, string> = {
  preparing: "preparing",
  waiting: "waiting for workers",
  training: "training",
  evaluating: "evaluating",
  done: "done",
  failed: "failed",
  stopped: "stopped",
};

const LEAF_STATES: Record<LeafStatus["state"], string> = {
  joining: "joining",
  ready: "ready",
  working: "working",
  paused: "paused",
};

const EVENT_KINDS: Record<ClusterEvent["kind"], string> = {
  ps: "parameter server",
  worker: "worker",
  job: "job",
  volunteer: "volunteer",
  gateway: "gateway",
};

export const TEXT = {
  title: "Volary",
  skip: "Skip to the jobs",

  connection: {
    connecting: "not connected",
    connected: "live",
    refused: "refused",
    first: "Connecting to the coordinator…",
    lost: "Not connected: what you see is old. Trying again…",
    refusedText: "The coordinator refused this page, so it does not try again. Reload it once the cause is gone.",
  },
  fault: "The coordinator refused a request",

  summary: {
    heading: "Cluster",
    jobs: "Jobs in training",
    speed: "Samples per second",
    workers: "Workers",
    idle: (count: number) => `${grouped(count)} idle`,
    volunteers: "Volunteers",
    paused: (count: number) => `${grouped(count)} paused`,
    nodes: "Parameter servers",
    silent: (count: number) => `${grouped(count)} silent`,
    rows: "Rows",
    memory: (bytes: string) => `${bytes} of memory`,
  },

  jobs: {
    heading: "Jobs",
    choose: "Choose a job",
    none: ["No jobs yet. Start one with ", "volary train job.ts --coordinator ADDRESS", "."],
    phase: (phase: JobPhase) => PHASES[phase],
    progress: (step: number, steps: number) => `Step ${grouped(step)} of ${grouped(steps)}`,
    evaluating: (rows: number, of: number) => `Evaluated ${grouped(rows)} of ${grouped(of)} held-out rows`,
    step: "Step",
    epoch: "Epoch",
    of: (whole: number) => `of ${grouped(whole)}`,
    loss: "Training loss",
    heldOut: (metric: string) => `Held-out ${metric}`,
    atStep: (step: number) => `at step ${grouped(step)}`,
    atEnd: "at the end",
    speed: "Samples per second",
    samples: "Samples trained",
    workers: "Workers",
    term: (term: number) => `term ${grouped(term)}`,
    time: "Training time",
    badRows: "Rows left out",
    batches: "Batches finished",
    dropped: (count: number) => `${grouped(count)} dropped`,
    repeated: (count: number) => `${grouped(count)} repeated`,
    staleness: "Staleness at most",
    stalenessHint: "batches ahead of the slowest",
    rounds: "Rounds of averages",
    cached: "Rows kept from before",
    chart: {
      loss: "Loss",
      training: "training",
      heldOut: "held out",
      metric: (metric: string) => `Held-out ${metric}`,
      speed: "Samples per second",
      perSecond: "now",
      step: "step",
      seconds: "second",
      noSteps: "No step is committed yet.",
      noSpeed: "Shown while the job trains.",
    },
  },

  workers: {
    heading: "Workers",
    none: ["No workers. Start one with ", "volary worker --coordinator ADDRESS", "."],
    columns: { name: "Worker", backend: "Device", job: "Job", leaves: "Volunteers", speed: "Samples/s of volunteers" },
    idle: "idle",
  },

  volunteers: {
    heading: "Volunteers",
    none: ["No volunteers now. Make a link for one with ", "volary invite JOB", "."],
    columns: {
      name: "Volunteer",
      worker: "Worker",
      device: "Device",
      state: "State",
      samples: "Samples",
      accepted: "Accepted",
      late: "Late",
      refused: "Refused",
      speed: "Samples/s",
    },
    state: (state: LeafStatus["state"]) => LEAF_STATES[state],
    fastest: (shown: number, all: number) => `The ${grouped(shown)} fastest of ${grouped(all)}.`,
    invited: "Invitations",
    redeemed: "Tokens redeemed",
    sessions: "Sessions open",
    observers: (count: number) => (count === 0 ? undefined : `and ${grouped(count)} of observers, who watch`),
    expelled: "Expelled",
  },

  nodes: {
    heading: "Parameter servers",
    none: ["No parameter servers. Start one with ", "volary ps --coordinator ADDRESS", "."],
    columns: {
      name: "Node",
      address: "Address",
      state: "State",
      heads: "Partitions",
      replicas: "Replicas",
      load: "Rows/s",
      rows: "Rows",
      disk: "On disk",
      memory: "Memory",
    },
    alive: "alive",
    silent: "silent",
    draining: "draining",
    memory: (bytes: string, max: string) => `${bytes} of ${max}`,
    memoryOf: (node: string) => `Memory of ${node}`,
    whole: "Partitions with all replicas",
    short: "Lacking a replica",
    moving: "On the move",
    failovers: "Heads taken over",
    failoversHint: "from lost nodes",
    moves: "Moves",
    movesHint: "for joins, drains and load",
    overrides: "Placed by load",
  },

  gateways: {
    heading: "Gateways",
    none: ["No gateways. Volunteers need one: ", "volary coordinator --gateway-port PORT", "."],
    columns: { url: "Gateway", connected: "Connected", refused: "Refused", in: "Received", out: "Sent" },
  },

  events: {
    heading: "Events",
    none: "Nothing has happened yet.",
    note: "Newest first; times count from the coordinator's start.",
    kind: (kind: ClusterEvent["kind"]) => EVENT_KINDS[kind],
  },

  /** Counts by code, most first: "NOT_FINITE 3, TOO_LATE 1". */
  counts: (counts: Readonly<Record<string, number>>): string => {
    const all = Object.entries(counts).filter(([, count]) => count > 0);
    if (all.length === 0) return "0";
    return all
      .sort(([, a], [, b]) => b - a)
      .map(([code, count]) => `${code} ${short(count)}`)
      .join(", ");
  },
  jobName: ({ job, name }: ClusterStatus["jobs"][number]) => `${name} (job ${job})`,
} as const;
