/**
 * Every bound on a queue, cache, retry or payload, in one place. A bound is checked before anything is
 * allocated for the thing it bounds.
 */
export const LIMITS = {
  /** A binary frame or control message larger than this is refused before it is parsed. */
  frameBytesMax: 256 * 1024 * 1024,
  controlBytesMax: 16 * 1024 * 1024,
  tablesPerFrameMax: 4096,
  segmentsPerFrameMax: 65_536,
  keysPerFrameMax: 16_777_216,
  valuesPerFrameMax: 62_914_560,

  tablesPerJobMax: 4096,
  /** Files of one data set, folders and globs spread out. */
  dataFilesMax: 65_536,
  /** Data sets over this many bytes on disk are streamed, block by block; smaller ones are held in memory. */
  dataInMemoryBytesMax: 512 * 1024 * 1024,
  /** Bad rows that are remembered with their places. */
  badRowsKept: 20,
  quantilesMax: 65_536,
  /** Elements of a sequence field that a sample may have. */
  sequenceLengthMax: 65_536,
  /** Numbers a model may give for one sample, and floats of a label. */
  outputsMax: 65_536,
  metricsPerJobMax: 64,
  /** Steps, epochs and validations that one piece of news tells of: a watcher that comes late misses older ones. */
  stepNewsMax: 10_000,
  dimMax: 65_536,
  partitionsMax: 65_536,
  workersPerJobMax: 4096,
  psNodesMax: 4096,
  jobsMax: 1024,

  /** Frames a worker keeps that arrived for a step it has not reached, and pulls a PS parks for one job. */
  earlyFramesMax: 4096,
  parkedPullsMax: 65_536,
  /** Bytes of a job's parked pulls, and of its early pushes, on one PS node. */
  waitingBytesMax: 1024 * 1024 * 1024,
  /** Bytes a peer may have unsent before it counts as a slow reader. */
  sendBufferBytesMax: 512 * 1024 * 1024,

  /** Direct pushes of one client that may be unanswered, and clients that may push to one job. */
  directPushesMax: 1024,
  pushClientsMax: 4096,
  /** Floats of one direct push, pull or set of a table client: 16 MB, or one row where that is longer. */
  requestFloatsMax: 4_194_304,

  /** Rows an export reply carries at most, and floats: 16 MB, or one row where that is longer. */
  exportRowsMax: 65_536,
  exportFloatsMax: 4_194_304,
  /** Floats of one chunk of a dense variable in the reserved table. */
  denseChunkFloats: 16_384,
  /** Floats of one all-reduce sub-chunk: 256 K floats = 1 MB. */
  reduceChunkFloats: 262_144,

  helloTimeoutMs: 5_000,
  heartbeatEveryMs: 500,
  /** A member that has been silent this long is lost. A closed connection is lost at once. */
  heartbeatLostMs: 10_000,
  /** A worker repeats what has not been answered after this long: every message is idempotent. */
  resendEveryMs: 3_000,
  connectAttemptsMax: 8,
  connectBackoffMs: 100,
  connectBackoffMaxMs: 3_000,
  /** A member that had a coordinator and lost it tries this often, about two minutes, before it gives up. */
  reconnectAttemptsMax: 45,
  /** How long a server that stops waits for the other ends to close. */
  closeGraceMs: 1_000,

  /** How often the coordinator looks for silent members. */
  tickEveryMs: 250,
  /** A watcher hears of steps no more often than this. */
  newsEveryMs: 50,
  /** While the coordinator cannot save its state, it tries again this often, and this many messages wait for it. */
  saveRetryMs: 1_000,
  effectsWaitingMax: 100_000,
  /** Connections one server accepts. */
  linksMax: 16_384,
} as const;
