/**
 * Ways to break the cluster on purpose. The simulation runs with one of them to show that its checkers notice; nothing
 * else ever does. Each is looked at where the code does what it leaves out; there are two such places where one guard
 * would hide that the other is missing.
 */
export const SABOTAGES = [
  // -- PS node
  /** Answers before the tail of the chain has the record. */
  "ack-before-tail",
  /** A replica that becomes the head has not kept which direct pushes were applied. */
  "forget-identities-on-failover",
  /** A node serves requests of a generation in which it is not the head any more. */
  "serve-stale-generation",
  /** A node takes records of an older generation, even where it is the head. */
  "accept-old-records",
  /** One push is not passed on to the next replica. */
  "drop-one-forwarded-push",
  /** A replica decides itself which rows go. */
  "evict-on-replica-alone",
  /** A batch whose gradients a partition has applied is applied again, where it is pushed again. */
  "forget-batch-names",
  /** The leader commits a step that one PS node has not staged; that node takes the slots that are missing as empty. */
  "commit-with-one-partition-unstaged",
  /** A copy for a new replica leaves out what was pushed while it was made. */
  "copy-without-forwarding",
  // -- coordinator
  /** A new replica counts as one before it has all records. */
  "switch-before-catch-up",
  /** The order of a chain changes while its head goes on. */
  "reorder-without-hold",
  /** The generation stays as it is when a chain changes, so that nodes take records of a head that was replaced. */
  "keep-generation",
  /** A worker is given batches however far it is ahead of the slowest. */
  "ignore-staleness-bound",
  /** A batch that a step is closed without counts as trained. */
  "drop-without-return",
  /** So does one that was lost with its worker. */
  "forget-lost-batches",
  /** And one that a step was closed without, once its worker is done with it. */
  "accept-late-slot",
  /** A round of dense weights is committed as soon as one member has its mean. */
  "commit-round-before-all-hold",
  // -- workers
  /** A new leader starts its step without asking what was committed; a partition that has committed it begins it again. */
  "start-without-fence",
  /** A step's samples that a volunteer was given, and left with, are nobody's. */
  "forget-lost-leaf",
  /** What a volunteer sends too late counts as what it was given next. */
  "take-late-leaf-update",
  /** A volunteer's gradients are looked at by nobody before they count. */
  "believe-leaves",
  /** A volunteer is told that its update counts when its step begins again. */
  "accept-leaf-before-commit",
  // -- clients
  /** A push that is sent again has another identity. */
  "re-lease-with-new-identity",
] as const;
export type Sabotage = (typeof SABOTAGES)[number];
export type Sabotages = ReadonlySet<Sabotage>;

export const NO_SABOTAGE: Sabotages = new Set();
