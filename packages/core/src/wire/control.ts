/**
 * Control messages: JSON text frames, validated once where they arrive. Bulk data never travels here.
 *
 * The step transaction's messages (fence, promise, start, staged, held, commit, committed) carry exactly what
 * ARCHITECTURE.md's specification names; leaving out any of it breaks atomicity, exactly-once or the fence.
 */
import { z } from "zod";
import { consistencySpecSchema } from "../consistency/index.ts";
import { ProtocolError } from "../errors.ts";
import { invitedRoleSchema, jobManifestSchema, signedInvitationSchema } from "../job/index.ts";
import { LIMITS } from "../limits.ts";
import { partitionMapSchema, psNodeSchema } from "../partition/index.ts";
import { tableSpecSchema } from "../table/index.ts";
import { metricsStateSchema } from "../metrics/index.ts";

export const PROTOCOL_MIN = 5;
export const PROTOCOL_MAX = 5;

const u32 = z.number().int().min(0).max(0xffff_ffff);
const name = z.string().min(1).max(500);
const text = z.string().max(100_000);
/** What lets a volunteer in, or goes on with what let it in. */
const secret = z.string().min(16).max(200);
const counts = z.record(z.string().max(100), u32);
const version = z.number().int().min(0).max(65_535);
const of = <T extends string, S extends z.core.$ZodLooseShape>(type: T, shape: S) =>
  z.strictObject({ type: z.literal(type), ...shape });

export const roleSchema = z.enum(["worker", "ps", "client", "peer", "coordinator", "gateway", "leaf"]);
export type Role = z.infer<typeof roleSchema>;

const attemptOf = { step: u32, attempt: u32 };
const committed = z.strictObject(attemptOf);
const leasePurpose = z.enum(["train", "evaluate"]);
export const jobPhaseSchema = z.enum(["preparing", "waiting", "training", "evaluating", "done", "failed", "stopped"]);
export type JobPhase = z.infer<typeof jobPhaseSchema>;

const memberSchema = z.strictObject({ worker: u32, address: z.string().max(500) });
export type Member = z.infer<typeof memberSchema>;

const metricValues = z.record(z.string(), z.number());

/** A committed step: the mean training loss of its samples. */
const stepNewsSchema = z.strictObject({ step: u32, loss: z.number(), samples: u32 });
/** A committed step. */
export interface StepNews extends z.infer<typeof stepNewsSchema> {}

/** An epoch that has ended: its number from 0, its last step, and the exact mean training loss of its samples. */
const epochNewsSchema = z.strictObject({ epoch: u32, step: u32, loss: z.number(), samples: z.number() });
/** An epoch that has ended. */
export interface EpochNews extends z.infer<typeof epochNewsSchema> {}

/** Metrics of the held-out rows after a step, in the epoch of that step, from 0; "loss" is among them. */
const validationNewsSchema = z.strictObject({ step: u32, epoch: u32, metrics: metricValues });
/** An evaluation of the held-out rows. */
export interface ValidationNews extends z.infer<typeof validationNewsSchema> {}

/** Rows that were left out: how many are known of, and the first few, as "train.csv:1042: …". */
const badRowsSchema = z.strictObject({
  count: z.number().int().nonnegative(),
  first: z.array(text).max(LIMITS.badRowsKept),
});
export interface BadRowsNews extends z.infer<typeof badRowsSchema> {}

export const jobStatusSchema = z.strictObject({
  job: u32,
  name,
  phase: jobPhaseSchema,
  message: text.optional(),
  step: u32,
  steps: u32,
  epochs: u32,
  /** The epoch under way, or the last one, from 0. */
  epoch: u32,
  samples: z.number().nonnegative(),
  /** Mean training loss per sample of the newest committed steps. */
  loss: z.number().nullable(),
  workers: z.number().int().nonnegative(),
  term: u32,
  /** Held-out rows of the evaluation under way, or of the newest one. */
  evaluated: z.number().nonnegative(),
  testRows: z.number().nonnegative(),
  /** Of the held-out rows, once the job is done. */
  metrics: metricValues.nullable(),
  /** The newest evaluation of the held-out rows. */
  validation: validationNewsSchema.nullable(),
  badRows: badRowsSchema,
  /** Of a job whose batches the coordinator gives out. */
  batches: z
    .strictObject({
      /** Whose gradients count, for good. */
      finished: u32,
      /** Too late for their step, and trained in a later one. */
      dropped: u32,
      /** Given to another worker as well, or again after their worker was lost. */
      repeated: u32,
      /** How many batches a worker was ahead of the slowest at most, when it began one. */
      stalenessMax: u32,
      /** Rounds of dense weights that were averaged. */
      rounds: u32,
      /** Rows that were used again without a pull, of those that batches needed. */
      cachedRows: z.number().nonnegative(),
      /** Rows that batches needed, where workers keep some. */
      rows: z.number().nonnegative(),
    })
    .optional(),
  /** Without the pauses for validation. */
  trainSeconds: z.number().nonnegative(),
  /** What a watcher was not told yet; a status that was asked for has none of it. */
  news: z
    .strictObject({
      steps: z.array(stepNewsSchema).max(LIMITS.stepNewsMax),
      epochs: z.array(epochNewsSchema).max(LIMITS.stepNewsMax),
      validations: z.array(validationNewsSchema).max(LIMITS.stepNewsMax),
    })
    .optional(),
});
/** How far a job is. */
export interface JobStatus extends z.infer<typeof jobStatusSchema> {}
export type JobNews = NonNullable<JobStatus["news"]>;

/** A volunteer, as its reducer sees it. */
export const leafStatusSchema = z.strictObject({
  volunteer: u32,
  name,
  /** For people: what computes there. */
  device: z.string().max(500),
  state: z.enum(["joining", "ready", "working", "paused"]),
  /** Samples of its accepted updates, and how many of these there are. */
  samples: z.number().nonnegative(),
  accepted: u32,
  /** Updates that came after their deadline, and those that were refused, by code. */
  late: u32,
  refused: counts,
  samplesPerSecond: z.number().nonnegative(),
});
export interface LeafStatus extends z.infer<typeof leafStatusSchema> {}

/** What a gateway has seen since it began. */
export const gatewayStatusSchema = z.strictObject({
  /** https://host:port, as volunteers know it. */
  url: z.string().max(500),
  connected: u32,
  /** What was refused, by code. */
  refused: counts,
  bytesIn: z.number().nonnegative(),
  bytesOut: z.number().nonnegative(),
});
export interface GatewayStatus extends z.infer<typeof gatewayStatusSchema> {}

/** What happened, for people. */
export const clusterEventSchema = z.strictObject({
  /** Milliseconds since the coordinator began. */
  at: z.number().nonnegative(),
  kind: z.enum(["ps", "worker", "job", "volunteer", "gateway"]),
  message: text,
});
export interface ClusterEvent extends z.infer<typeof clusterEventSchema> {}

export const clusterStatusSchema = z.strictObject({
  nodes: z.array(
    z.strictObject({
      node: u32,
      name,
      address: psNodeSchema.shape.address,
      alive: z.boolean(),
      /** Is it being emptied, so that it can be stopped? */
      draining: z.boolean().optional(),
      /** Partitions it is the head of, and those it is another replica of. */
      partitions: u32,
      replicas: u32,
      /** Rows that it reads and changes for clients, per second. */
      load: z.number().optional(),
      rows: u32,
      bytes: z.number(),
      /** Memory that rows may take, where the node said so, and how many of the rows lie on disk. */
      bytesMax: z.number().optional(),
      diskRows: u32.optional(),
    }),
  ),
  workers: z.array(
    z.strictObject({
      worker: u32,
      name,
      job: u32.nullable(),
      backend: z.string(),
      /** Volunteers whose updates it combines. */
      leaves: z.array(leafStatusSchema).max(LIMITS.leavesMax).optional(),
    }),
  ),
  gateways: z.array(gatewayStatusSchema).optional(),
  /** Invitations that were made, tokens that were redeemed, sessions that are open, and volunteers that were expelled. */
  volunteers: z.strictObject({ invited: u32, redeemed: u32, sessions: u32, expelled: u32 }).optional(),
  /** The newest, oldest first. */
  events: z.array(clusterEventSchema).max(LIMITS.eventsKept).optional(),
  jobs: z.array(jobStatusSchema),
  mapVersion: u32,
  /** How many partitions have all their replicas, how many lack one, and how many are being copied or moved. */
  chains: z.strictObject({ whole: u32, short: u32, moving: u32 }),
  /** Since the coordinator began: heads taken over from lost nodes, and partitions moved for joins, drains and load. */
  failovers: u32,
  moves: u32,
  overrides: u32,
});
/** Members of a cluster and its jobs. */
export interface ClusterStatus extends z.infer<typeof clusterStatusSchema> {}

export const controlSchema = z.discriminatedUnion("type", [
  // -- every connection ------------------------------------------------------------------------------------
  // The first three are read by peers of other versions, so what those add is let pass.
  of("hello", {
    protocol: z.object({ min: version, max: version }),
    role: roleSchema,
    name,
    id: u32.optional(),
    job: u32.optional(),
    /** Of a volunteer, to a gateway. */
    session: secret.optional(),
  }).strip(),
  of("welcome", { protocol: version, name }).strip(),
  of("refuse", { code: name, message: text }).strip(),
  of("error", { code: name, message: text, job: u32.optional(), requestId: u32.optional() }),
  of("heartbeat", {
    rows: u32.optional(),
    bytes: z.number().optional(),
    bytesMax: z.number().optional(),
    diskRows: u32.optional(),
    /** Of a PS node: rows read and changed for clients since the last one, by partition. */
    load: z
      .strictObject({
        partitions: z.array(u32).max(LIMITS.partitionsMax),
        rows: z.array(u32).max(LIMITS.partitionsMax),
      })
      .refine(({ partitions, rows }) => partitions.length === rows.length, "must have one number of rows a partition")
      .optional(),
  }),

  // -- PS node ↔ coordinator -------------------------------------------------------------------------------
  /** `node`: the number that it had, and has rows by, when its coordinator was lost. */
  of("ps-join", { ...psNodeSchema.pick({ name: true, address: true }).shape, node: u32.optional() }),
  of("ps-joined", { node: u32 }),
  /** To PS nodes at every change; to workers and clients when a head changed, or when they ask. */
  of("map", { map: partitionMapSchema }),
  of("map-request", {}),
  of("open-job", {
    job: u32,
    seed: u32,
    consistency: consistencySpecSchema,
    /** Of the job, and the reserved one. */
    tables: z.array(tableSpecSchema).max(LIMITS.tablesPerJobMax + 1),
  }),
  of("job-opened", { job: u32 }),
  of("close-job", { job: u32 }),
  /** Every node of `next` has all records, and from now on none is acknowledged without them. */
  of("chain-ready", { partition: u32, generation: u32, next: z.array(u32).min(1).max(LIMITS.psNodesMax) }),
  /** From the head of a chain that is held: all its nodes have the same records. */
  of("chain-quiet", { partition: u32, generation: u32 }),
  /** `node` cannot hold its copy of a partition: no memory for it, most likely. */
  of("chain-broken", { partition: u32, generation: u32, node: u32, message: text }),

  // -- step transaction: leader and workers ↔ PS node, leader ↔ ranks --------------------------------------
  // `heads` of the sender's partition map: a PS node speaks for all partitions that it is the head of in that map.
  of("fence", { job: u32, term: u32, heads: u32 }),
  /** `committed`: the newest step of any of its partitions; `whole`: all have committed it. */
  of("promise", { job: u32, term: u32, heads: u32, committed, whole: z.boolean() }),
  of("start", {
    job: u32,
    ...attemptOf,
    term: u32,
    heads: u32,
    slots: u32,
    members: z.array(u32).max(LIMITS.workersPerJobMax),
    /** To ranks: by whose ranks the dense optimizer's state after the step before is split; 0 for one that is lost. */
    owners: z.array(u32).max(LIMITS.workersPerJobMax).optional(),
  }),
  of("staged", { job: u32, ...attemptOf, heads: u32 }),
  of("held", { job: u32, ...attemptOf, rank: u32 }),
  of("commit", { job: u32, ...attemptOf, term: u32, heads: u32 }),
  of("committed", { job: u32, ...attemptOf, heads: u32 }),
  /** The node's map is newer than the sender's: a new term is to begin. */
  of("stale-heads", { job: u32, heads: u32 }),
  of("stale-term", { job: u32, promised: u32 }),

  // Where steps close by the word of their leader, which is the coordinator then:
  /** All partitions of the node have a slot. */
  of("slot-in", { job: u32, ...attemptOf, slot: u32, heads: u32 }),
  /** The step is the sum of these slots, times `scale`; others are dropped. */
  of("close", {
    job: u32,
    ...attemptOf,
    term: u32,
    heads: u32,
    slots: z.array(u32).max(LIMITS.workersPerJobMax),
    scale: z.number().finite().positive(),
  }),

  // -- batches: worker ↔ coordinator, where that says what is trained next -----------------------------------
  /**
   * Train on batch `batch`, from 0, of the job; all below `settled` are finished. `begun` batches were given to this
   * worker before, and `slowest` are what the slowest has finished. Where gradients are applied at a step's commit it
   * is slot `slot` of step `step`, attempt `term`.
   */
  of("batch", {
    job: u32,
    term: u32,
    lease: u32,
    batch: u32,
    settled: u32,
    begun: u32,
    slowest: u32,
    step: u32,
    slot: u32,
  }),
  /** Its gradients are pushed: where they are applied at once, the PS have them. */
  of("batch-done", {
    job: u32,
    lease: u32,
    batch: u32,
    samples: u32,
    lossSum: z.number(),
    /** What the batch took, without waiting for others. */
    computeMs: z.number().nonnegative(),
    /** Of the rows it needed, how many were kept from before. */
    cachedRows: u32.optional(),
    rows: u32.optional(),
  }),
  /** Average dense weights now, as members of `term` in their order; a member's change counts for its share. */
  of("call-round", {
    job: u32,
    term: u32,
    round: u32,
    shares: z.array(z.number().nonnegative()).max(LIMITS.workersPerJobMax),
  }),
  /** This worker has the mean of the round. */
  of("round-held", { job: u32, term: u32, round: u32 }),
  /** All have: apply it. Rank 0 then gives the dense state to workers that have none. */
  of("commit-round", { job: u32, term: u32, round: u32, newcomers: z.array(u32).max(LIMITS.workersPerJobMax) }),
  /** This worker has the dense state after the round. */
  of("dense-ready", { job: u32, round: u32 }),
  /** To rank 0: store the dense weights on the PS; it answers "trained". */
  of("store-dense", { job: u32, term: u32, step: u32 }),

  // -- worker ↔ coordinator --------------------------------------------------------------------------------
  /** `leaves`: as a reducer it takes so many volunteers. */
  of("worker-join", { name, address: z.string().max(500), backend: z.string().max(500), leaves: u32.optional() }),
  of("worker-joined", { worker: u32 }),
  of("assign", { job: u32, manifest: jobManifestSchema, map: partitionMapSchema }),
  of("ready", { job: u32, trainRows: u32, testRows: u32, fingerprint: name }),
  /** By the partition map with these `heads`, which came before. */
  of("term", {
    job: u32,
    term: u32,
    heads: u32,
    members: z.array(memberSchema).max(LIMITS.workersPerJobMax),
    /** How long the members' slices are in relation to one another; equal without it. */
    shares: z.array(z.number().positive()).max(LIMITS.workersPerJobMax).optional(),
  }).refine(({ members, shares }) => shares === undefined || shares.length === members.length, {
    path: ["shares"],
    error: "must be one for each member",
  }),
  of("term-request", { job: u32, term: u32, reason: text }),
  of("lease-request", { job: u32, purpose: leasePurpose, term: u32 }),
  of("lease", { job: u32, purpose: leasePurpose, term: u32, lease: u32, from: u32, to: u32 }),
  of("no-lease", { job: u32, purpose: leasePurpose, term: u32, reason: z.enum(["wait", "done"]) }),
  of("progress", {
    job: u32,
    term: u32,
    commits: z.array(z.strictObject({ ...attemptOf, samples: u32, lossSum: z.number() })).max(100_000),
  }),
  /** The newest step that this worker has computed in the term, and what its samples took since it last said so. */
  of("step-times", {
    job: u32,
    term: u32,
    step: u32,
    samples: u32,
    /** Without waiting for others. */
    computeMs: z.number().nonnegative(),
  }),
  of("trained", { job: u32, term: u32, step: u32 }),
  /** Evaluate the held-out rows as they are after `step`, once its dense result is applied. */
  of("evaluate", { job: u32, term: u32, step: u32 }),
  of("evaluated", { job: u32, lease: u32, metrics: metricsStateSchema }),
  /** Rows that this worker left out so far; `scope`: of all the data, or of the rows it has read. */
  of("bad-rows", { job: u32, scope: z.enum(["data", "read"]), ...badRowsSchema.shape }),
  of("fail", { job: u32, code: name, message: text }),
  of("end", { job: u32, phase: jobPhaseSchema, message: text.optional() }),
  /** From a reducer, about the volunteers that it has. */
  of("leaves", { job: u32, leaves: z.array(leafStatusSchema).max(LIMITS.leavesMax) }),
  /** A reducer has caught a volunteer cheating: its session ends. */
  of("expel", { job: u32, volunteer: u32, reason: text }),

  // -- gateway ↔ coordinator -------------------------------------------------------------------------------
  of("gateway-join", { name, url: z.string().max(500) }),
  /** Takes a token, which is of use no more then, for a session; answered by "session" or "error". */
  of("redeem", { request: u32, token: secret }),
  of("session-request", { request: u32, session: secret }),
  of("session", {
    request: u32,
    session: secret,
    volunteer: u32,
    job: u32,
    phase: jobPhaseSchema,
    expiresInMs: z.number().nonnegative(),
    invitation: signedInvitationSchema,
    /** Workers of the job that take volunteers, and how many they have. */
    reducers: z
      .array(z.strictObject({ worker: u32, address: z.string().max(500), leaves: u32, leavesMax: u32 }))
      .max(LIMITS.workersPerJobMax),
  }),
  /** The volunteer's session has ended: its connection is to be closed, with this code and reason. */
  of("revoked", { volunteer: u32, code: name, reason: text }),
  of("gateway-report", gatewayStatusSchema.shape),

  // -- reducer ↔ volunteer, through a gateway ----------------------------------------------------------------
  /** What the volunteer computes with, and what its probe of one real step of so many samples took. */
  of("leaf-join", { device: z.string().max(500), samples: u32, computeMs: z.number().nonnegative() }),
  /** Asks for one more task. */
  of("leaf-ready", {}),
  /** Asks for none until it is ready again. */
  of("leaf-pause", { reason: z.enum(["asked", "hidden", "battery", "data", "limits"]) }),
  /**
   * Its frames came before: `leafDense` if the weights are not those the volunteer has, then `leafRows` and `leafInputs`.
   * `globalSamples` is what the sum of losses is divided by.
   */
  of("leaf-task", { task: u32, step: u32, samples: u32, globalSamples: u32, weighted: z.boolean() }),
  /** Its frames came before: `leafRowGradients` and `leafDenseGradients`. */
  of("leaf-update", { task: u32, lossSum: z.number(), computeMs: z.number().nonnegative() }),
  /** The update counts: it is in the gradients of `step`. */
  of("leaf-accepted", { task: u32, step: u32, samples: u32, stepSamples: u32 }),
  of("leaf-refused", { task: u32, code: name, message: text }),
  /** The last word; "error" codes say whether the volunteer may come again. */
  of("leaf-end", { code: name, message: text, mayReturn: z.boolean() }),
  /** What volunteers that trust each other need to connect: WebRTC descriptions and candidates, as they are. */
  of("leaf-signal", { from: u32, to: u32, data: text }),
  /** Average the dense gradients of the task among these: the reducer is 0, the others volunteers. */
  of("leaf-group", { task: u32, round: u32, members: z.array(u32).max(LIMITS.leavesMax) }),

  // -- client ↔ coordinator --------------------------------------------------------------------------------
  of("submit", { manifest: jobManifestSchema }),
  of("submitted", { job: u32, map: partitionMapSchema }),
  of("run-job", { job: u32 }),
  /** `trusted`: they may connect to each other, and nothing they send is clipped. */
  of("invite", {
    job: u32,
    role: invitedRoleSchema,
    uses: z.number().int().min(1).max(LIMITS.invitationUsesMax),
    validMs: z.number().positive().max(LIMITS.invitationMsMax),
    trusted: z.boolean(),
    /** Who asks, and for what, in their own words. */
    by: z.string().max(200),
    about: z.string().max(2_000),
  }),
  /** `keyId` names the key that the job's invitation is signed with. */
  of("invited", {
    tokens: z.array(secret).max(LIMITS.invitationUsesMax),
    keyId: name,
    urls: z.array(z.string().max(500)),
  }),
  /** Ends training after the step under way; the job is evaluated and done. */
  of("finish-job", { job: u32, reason: text }),
  of("stop-job", { job: u32 }),
  of("watch", { job: u32 }),
  of("job-status", { status: jobStatusSchema }),
  /** Moves all partitions away from a PS node, by name; it may be stopped once it holds none. */
  of("drain", { node: name }),
  of("draining", { node: name }),
  of("status-request", {}),
  of("status", { status: clusterStatusSchema }),
  of("commits-request", { job: u32 }),
  of("commits", {
    job: u32,
    commits: z.array(z.strictObject(attemptOf)),
    /** `shares` as of the message "term". */
    terms: z.array(
      z.strictObject({ term: u32, members: z.array(u32), shares: z.array(z.number().positive()).optional() }),
    ),
  }),
]);

export type Control = z.infer<typeof controlSchema>;
export type ControlType = Control["type"];
export type ControlOf<T extends ControlType> = Extract<Control, { type: T }>;

/** @throws {RangeError} over the limit of `limits.ts` */
export function encodeControl(message: Control): string {
  const json = JSON.stringify(message);
  const fault = lengthFault(json);
  if (fault) throw new RangeError(`cannot send control message "${message.type}": ${fault}`);
  return json;
}

/**
 * Parses and validates a control message.
 *
 * @throws {ProtocolError} naming the type and the first field that is wrong
 */
export function decodeControl(json: string): Control {
  const fault = lengthFault(json);
  if (fault) throw new ProtocolError(`control message: ${fault}`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ProtocolError(`control message is not JSON: ${json.slice(0, 80)}`, { cause });
  }
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (typeof type !== "string") throw new ProtocolError(`control message without a type: ${json.slice(0, 80)}`);
  if (!CONTROL_TYPES.has(type)) throw new ProtocolError(`unknown control message "${type.slice(0, 60)}"`);
  const issue = firstIssue(value);
  if (typeof issue !== "string") return issue;
  throw new ProtocolError(`control message "${type}": ${issue}`);
}

const CONTROL_TYPES: ReadonlySet<string> = new Set(controlSchema.options.map((option) => option.shape.type.value));

/** The message, or the first thing that is wrong with it. */
function firstIssue(value: unknown): Control | string {
  try {
    const parsed = controlSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    return `${issue.path.join(".")} ${issue.message}`.trim();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return "nested too deeply"; // schemas recurse, and the stack ends before the message does
  }
}

function lengthFault(json: string): string | undefined {
  if (json.length <= LIMITS.controlBytesMax) return undefined;
  return `${json.length} characters, over the limit of ${LIMITS.controlBytesMax}`;
}

/** The highest protocol version both sides speak, if there is one. */
export function negotiate(theirs: { min: number; max: number }): number | undefined {
  const version = Math.min(theirs.max, PROTOCOL_MAX);
  return version >= Math.max(theirs.min, PROTOCOL_MIN) ? version : undefined;
}

/** What to tell a peer of another protocol version. */
export function versionRefusal(theirs: { min: number; max: number; name: string }): ControlOf<"refuse"> {
  const older = theirs.max < PROTOCOL_MIN;
  return {
    type: "refuse",
    code: "PROTOCOL_VERSION",
    message:
      `${theirs.name} speaks protocol ${range(theirs)}, this side ${range({ min: PROTOCOL_MIN, max: PROTOCOL_MAX })}; ` +
      `upgrade ${older ? theirs.name : "this side"} so that both run the same Volary release`,
  };
}

function range({ min, max }: { min: number; max: number }): string {
  return min === max ? String(min) : `${min}–${max}`;
}
