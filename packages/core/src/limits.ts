/**
 * Every bound on a queue, cache, retry or payload, in one place. A bound is checked before anything is
 * allocated for the thing it bounds.
 */
export const LIMITS = {
  /** A binary frame or control message larger than this is refused before it is parsed. */
  frameBytesMax: 256 * 1024 * 1024,
  controlBytesMax: 16 * 1024 * 1024,
  /** A job's tables, the reserved one, and those that care for their vocabulary twice more. */
  tablesPerFrameMax: 12_291,
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
  /** Pushes after which a key may be admitted: what a counter of one byte holds. */
  admissionUpdatesMax: 255,
  /** Counters of a table that admits keys by their frequency, over all partitions. */
  admissionCountersMax: 2 ** 32,
  /** Keys whose row went away, 16 bytes each, that a partition remembers for the next incremental checkpoint. */
  tombstonesMax: 65_536,
  partitionsMax: 65_536,
  workersPerJobMax: 4096,
  psNodesMax: 4096,
  jobsMax: 1024,

  /** Frames a worker keeps that arrived for a step it has not reached, and pulls a PS parks for one job. */
  earlyFramesMax: 4096,
  parkedPullsMax: 65_536,
  /** Bytes of records that a PS node keeps until its partition map is as new as they are. */
  earlyRecordBytesMax: 67_108_864,
  /** Answers of a job that wait on one PS node until other replicas have what they tell of. */
  waitingAnswersMax: 65_536,
  /** Bytes of a job's parked pulls, of its early pushes, and of answers that wait, each, on one PS node. */
  waitingBytesMax: 1024 * 1024 * 1024,
  /** Bytes a peer may have unsent before it counts as a slow reader. */
  sendBufferBytesMax: 512 * 1024 * 1024,
  /** How often room is made in memory for one push: what was moved to disk may be what it needs. */
  roomRoundsMax: 16,
  /** Memory that a PS node keeps to receive frames in while none arrives. */
  receiveBuffersBytesMax: 64 * 1024 * 1024,

  /** Bytes of buffers for frames on their way that a process keeps to use again. */
  sendBuffersBytesKept: 64 * 1024 * 1024,

  /** Direct pushes of one client that may be unanswered, and clients that may push to one job. */
  directPushesMax: 1024,
  pushClientsMax: 4096,
  /** Floats of one direct push, pull or set of a table client: 1 MB, or one row where that is longer. */
  requestFloatsMax: 262_144,

  /** A pull is answered in parts of this many bytes of values, or of one segment where that is longer. */
  replyPartBytes: 1_048_576,
  /** Buffers of that size that a PS node keeps in each of its memories. */
  replyBuffersKept: 16,
  /** Bytes of the list of keys that a link's ends remember by name, from so many keys on, and how many lists. */
  keyListKeysMin: 8,
  keyListsMax: 512,
  keyListBytesMax: 16 * 1024 * 1024,
  /** Buffers for the rows of a step that a worker keeps. */
  rowBuffersKept: 4,
  /** Steps whose samples and keys a worker may read ahead. */
  prefetchStepsMax: 64,

  /** Memory of pushes that were passed on, kept to be used again, per job. */
  recordBuffersKept: 8,
  /** Keys and values of the records that share a frame, in words, or one record where that is longer. */
  chainFrameWords: 4_194_304,
  /** Bytes of one part of a copy for a new replica, and how many a PS node sends a second, or at once. */
  copyPartBytes: 262_144,
  copyBytesPerSecond: 67_108_864,
  copyBurstBytes: 1_048_576,
  /** What a PS node behind another one has not acknowledged for this long is sent again: it was busy, or refused it. */
  chainResendMs: 1_000,
  /** One that has acknowledged nothing for this long is taken out of the chain, even if the coordinator hears of it. */
  followerLostMs: 10_000,
  /** A PS node tells the coordinator again that a chain is ready to change, as long as it does not. */
  chainReportMs: 1_000,
  /** How often a PS node goes on with copies. */
  psTickMs: 20,

  /** Rows an export reply carries at most, and floats: 16 MB, or one row where that is longer. */
  exportRowsMax: 65_536,
  exportFloatsMax: 4_194_304,
  /** Floats of one chunk of a dense variable in the reserved table. */
  denseChunkFloats: 4_096,
  /** Volunteers of one reducer, and samples of one task. */
  leavesMax: 1_024,
  leafSamplesMax: 16_384,
  leafSamplesMin: 16,
  /**
   * A volunteer is waited for so long where its pace is not known, and otherwise as is usual for it, between the others.
   */
  leafFirstMs: 5_000,
  leafLongestMs: 15_000,
  leafLateMsMin: 300,
  /** By what share of its own time training may be held up by slow volunteers, and how long by one when it comes. */
  leafSlowdownMax: 0.25,
  leafPatienceMs: 2_000,
  /** A reducer tells the coordinator of its volunteers this often. */
  leavesEveryMs: 1_000,
  /** Updates of a volunteer that cannot be right before it is expelled, and volunteers whose faults are remembered. */
  leafRefusalsMax: 3,
  leafRecordsMax: 16_384,
  /** A volunteer's message over this many bytes is refused before it is read. */
  leafFrameBytesMax: 64 * 1024 * 1024,
  /** A volunteer's control message of more characters is refused before it is parsed: all that it may say is short. */
  leafControlCharsMax: 256 * 1024,
  /** Bytes on their way to a volunteer after which it counts as a slow reader. */
  leafUnsentBytesMax: 32 * 1024 * 1024,
  /** A volunteer's tab that lost its gateway dials again after this long at first, and at most. */
  leafBackoffMs: 500,
  leafBackoffMaxMs: 10_000,
  /** STUN and TURN servers of a group. */
  iceServersMax: 8,
  /** Volunteers of one group, each connected to each. */
  groupVolunteersMax: 16,
  /** Bytes of one chunk between members of a group, which every data channel takes, and of one message in chunks. */
  groupChunkBytes: 65_536,
  groupMessageBytesMax: 8 * 1024 * 1024,
  /** A data channel with so many bytes unsent gets no more until they are down to the second. */
  groupBufferedBytesMax: 1024 * 1024,
  groupBufferedBytesLow: 256 * 1024,
  /** Bytes of messages that wait for that; one with more counts as a slow reader. */
  groupWaitingBytesMax: 64 * 1024 * 1024,
  /** A data channel that is not open after this long is given up. */
  groupOpenMs: 15_000,
  /** The rest after such a channel, or a round that came to nothing: twice as long after each in a row, up to the second. */
  groupRestMs: 1_000,
  groupRestMsMax: 60_000,
  /** Rounds that a group tries for one step, before its members send their gradients to the reducer instead. */
  groupRoundsMax: 4,
  /** A request to a gateway's HTTP API. */
  gatewayBodyBytesMax: 4_096,
  /** Joins, returns and connections of one address a minute, and tries with one token or session. */
  gatewayEntriesPerMinute: 240,
  gatewayTriesPerMinute: 30,
  /** Addresses, and secrets, whose tries a gateway remembers. */
  gatewayTriesKept: 16_384,
  /** Of one volunteer, over two seconds; a frame of the greatest length passes. */
  gatewayMessagesPerSecond: 2_000,
  gatewayBytesPerSecond: 128 * 1024 * 1024,
  /** Bytes of one volunteer on their way to its reducer after which that counts as a slow reader; the longest frame passes. */
  gatewayUnsentBytesMax: 64 * 1024 * 1024,
  /** Messages of a volunteer that wait until its reducer is there. */
  gatewayEarlyMessagesMax: 16,
  /** Questions of a gateway that its coordinator has not answered, and how long it waits for an answer. */
  gatewayRequestsMax: 4_096,
  gatewayAnswerMs: 5_000,
  /** A volunteer that is silent is asked this often whether it is there; after the second it has left without a word. */
  gatewayHeartbeatMs: 15_000,
  gatewaySilentMs: 60_000,
  /** Volunteers hear of their job, and the coordinator of a gateway, this often at most. */
  gatewayNewsEveryMs: 1_000,
  /** Steps, epochs and validations that a volunteer who joins is told of. */
  gatewayNewsMax: 2_000,
  /** Tokens of one invitation, and how long they are good for. */
  invitationUsesMax: 10_000,
  invitationMsMax: 30 * 24 * 3600 * 1000,
  /** Tokens and sessions, also past ones, that a coordinator remembers, and how long a session is good for. */
  tokensMax: 100_000,
  sessionsMax: 100_000,
  sessionMs: 24 * 3600 * 1000,
  gatewaysMax: 64,
  /** How long one device may take to be tried, and how long a process waits for another one's trials of all. */
  deviceTrialMs: 60_000,
  deviceProbeMs: 240_000,
  /** Jobs whose fastest device is remembered. */
  deviceProbesKept: 64,
  /** Events that a coordinator remembers. */
  eventsKept: 200,
  /** How far `ssp` may let a worker run ahead. */
  stalenessStepsMax: 256,
  /** Batches of a job that are being trained at a time, beyond those that are all finished: below `directPushesMax`. */
  batchesOpenMax: 1_000,
  /** A batch is late after the median time of a batch and so many times their median absolute deviation, but not before. */
  lateDeviations: 8,
  lateMsMin: 2_000,
  /** A worker tells of the times of its steps no more often than this. */
  stepTimesEveryMs: 1_000,
  /** Slices of a balanced job change their lengths no more often than this. */
  sharesEveryMs: 5_000,
  /**
   * A member that holds the others' step up is left out no sooner than this, or at its first step; then it pauses, each
   * time for twice as long.
   */
  leftOutMsMin: 10_000,
  leftOutFirstMs: 60_000,
  leftOutMs: 30_000,
  leftOutMsMax: 600_000,
  /** Rows that a worker keeps where a job caches them and does not say how many. */
  cachedRowsMax: 262_144,
  /** Rows of gradients, or of what they lost on their way, that a worker keeps to send later. */
  residualRowsMax: 262_144,
  /** Dense weights whose optimizer state one frame takes, where it is handed over. */
  stateShareFloats: 262_144,
  /** Floats of one all-reduce sub-chunk: 256 KB to 1 MB. */
  reducePartFloatsMin: 65_536,
  reducePartFloatsMax: 262_144,
  /**
   * So many bytes of all-reduce could be sent in the time that a message takes on its way, however short: with it the
   * choice turns where 2 to 4 Node processes on one machine did in fact, at 64 to 640 KB (November 2026).
   */
  reduceLatencyBytes: 65_536,
  /** Bytes of all-reduce frames that a worker keeps until it begins their round. */
  earlyReduceBytesMax: 1024 * 1024 * 1024,

  helloTimeoutMs: 5_000,
  /** A request over HTTP that is not there after this long is cut off. */
  requestTimeoutMs: 30_000,
  heartbeatEveryMs: 500,
  /** A member that has been silent this long is lost. A closed connection is lost at once. */
  heartbeatLostMs: 10_000,
  /** A worker that opens a job may be silent longer, since nobody waits for it: preparing columns of data takes all its time. */
  openingLostMs: 60_000,
  /** So long a PS node may be silent where every partition that it holds has another replica. */
  psLostMs: 5_000,
  /** After its restart a coordinator waits this long for the PS nodes of its map. */
  rejoinMs: 10_000,
  /** Partitions that are copied to other nodes at a time. */
  copiesMax: 8,
  /** Chains whose heads change are switched together, this often at most: each time begins a term of all jobs. */
  switchEveryMs: 250,
  /** Copies that come to an end within this time become part of their chains together. */
  growEveryMs: 50,
  /** The same for copies that no chain lacks, but that are to move. */
  moveEveryMs: 400,
  /** A node that could not hold a replica of a partition is not chosen for it again for so long. */
  brokenReplicaMs: 60_000,
  /** How often the loads of PS nodes are compared, and rows per second, over all, that are worth a move. */
  balanceEveryMs: 2_000,
  balanceRowsMin: 1_000,
  /** A worker repeats what has not been answered after this long: every message is idempotent. */
  resendEveryMs: 3_000,
  /** A table's client asks again, after waits that double, for so long since the first failure. */
  tableRetryMs: 30_000,
  tableBackoffMs: 10,
  tableBackoffMaxMs: 250,
  /** It asks a PS node for its map no more often than this. */
  mapRequestEveryMs: 100,
  connectAttemptsMax: 8,
  connectBackoffMs: 100,
  connectBackoffMaxMs: 3_000,
  /** A PS node dials one behind it again after this long at first, and at most. */
  peerBackoffMs: 20,
  peerBackoffMaxMs: 500,
  /** A member that had a coordinator and lost it tries this often, about two minutes, before it gives up. */
  reconnectAttemptsMax: 45,
  /** A PS process behind a shared port that ends this often in a row, soon after its start, is not started again. */
  psRestartsMax: 5,
  /** How long a scrape of all PS processes behind a port waits for one of them. */
  metricsTimeoutMs: 2_000,
  /** How long a server that stops waits for the other ends to close. */
  closeGraceMs: 1_000,
  /** How long a connection waits, after it said that it closes, for the other end to do so. */
  closeTimeoutMs: 10_000,

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
