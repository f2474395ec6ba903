/** Every word of the volunteer's page, for translation. */
import type { LeafPause } from "@volary/core/training";

const REFUSALS: Readonly<Record<string, string>> = {
  TOKEN_UNKNOWN: "This page needs an invitation. Open the link that you were given, complete, or ask for a new one.",
  TOKEN_USED: "This link was used before, and each works once. Ask whoever invited you for a new one.",
  TOKEN_EXPIRED: "This link is too old. Ask whoever invited you for a new one.",
  TOKEN_ROLE: "This link is for watching only: it does not let you compute. Ask for a volunteer's link.",
  WRONG_ORIGIN:
    "This page came from another address than the one it was made for. Open the link just as you were given it.",
  TOO_MANY: "Too many have come from your network at once. Wait a minute, then reload the page.",
  SESSION_ENDED: "Your visit has ended: the training is over, or your invitation is. Thank you for what you gave.",
  UNKNOWN_JOB: "The training that this link is for does not exist any more.",
  BAD_INVITATION:
    "The invitation is not what its link promises: somebody may have changed it on its way. Nothing was started. Ask for a new link.",
  BAD_JOB: "This training needs code that no browser runs. Ask whoever invited you for another way to help.",
  COORDINATOR_UNAVAILABLE: "The training does not answer. Check your connection, then reload the page.",
  PROTOCOL_VERSION:
    "This page is older or newer than the training. Reload it; if that does not help, ask for a new link.",
  PROTOCOL_VIOLATION: "The training answered in a way that this page does not understand. Reload the page.",
  UPDATE_SHAPE:
    "What your browser sent was of another size than was asked for, so you were sent away. Reload the page.",
  UPDATE_NOT_FINITE: "Your device gave results that are no numbers. It may be faulty, or too hot; try another browser.",
  UPDATE_NORM: "Your device gave results far too large to be right. Try another browser.",
  UPDATE_DIFFERS: "Your results were computed again elsewhere and were different, so your invitation has ended.",
  UPDATE_LATE: "Your results came too late to count. Other programs may keep your device busy.",
  LIMIT_EXCEEDED: "Your browser sent more than is allowed, so you were sent away. Reload the page.",
  NO_REDUCER: "No one can take your results right now. Try again in a while.",
  NAME_TAKEN:
    "You have opened this training in another tab, which goes on. Start again to compute in this one instead.",
  TIMEOUT: "The training was silent for too long. Try again in a while.",
  SLOW_READER: "Your connection is too slow for this training.",
  JOB_STOPPED: "The training was stopped. Thank you for what you gave.",
  JOB_FAILED: "The training has failed; it was not your fault. Thank you for what you gave.",
  DEVICE_FAILED: "Your device failed again and again; it may have too little memory. Try another browser.",
  NO_DEVICE: "Your browser cannot compute this training. Another browser, or a newer one, may.",
  DEVICE_LOST: "Your graphics device was lost again and again. Reload the page, or try another browser.",
};

/** Where an observer is told other words. */
const WATCH_REFUSALS: typeof REFUSALS = {
  SESSION_ENDED: "Your visit has ended: the training is over, or your invitation is.",
  NAME_TAKEN: "You have opened this training in another tab, which goes on. Reload to watch it in this one instead.",
};

export const TEXT = {
  title: "Lend your computer to a training",
  loading: "Reading your invitation …",
  refusedTitle: "This did not work",
  refusedDetail: (message: string) => `In detail: ${message}`,
  refusal: (code: string) => REFUSALS[code] ?? "Something went wrong. Reload the page, or ask for a new link.",
  reload: "Reload",

  asks: (by: string) => `${by || "Somebody who has not given a name"} asks for your help`,
  shows: (by: string) => `${by || "Somebody who has not given a name"} shows you a training`,
  facts: "What is trained",
  model: "Model",
  modelHint: (o: { layers: number; parameters: string }) =>
    `${o.layers > 0 ? `${o.layers} layers, ` : ""}${o.parameters} numbers that every step changes`,
  tables: "Tables",
  tablesHint: (o: { names: readonly string[]; more: number }) =>
    `rows for ${o.names.join(", ")}${o.more > 0 ? ` and ${o.more} others` : ""}; they stay on the servers`,
  noTables: "none",
  data: "Data",
  dataHint: (rows: string | undefined) => (rows === undefined ? "size not known yet" : `${rows} rows`),
  training: "Length",
  trainingHint: (o: { batch: string; epochs: number }) =>
    `${o.epochs === 1 ? "1 pass" : `${o.epochs} passes`} over the data, ${o.batch} rows a step`,
  steps: (steps: string) => (steps === "1" ? "1 step" : `${steps} steps`),
  noSteps: "not known yet",

  trust: "What happens when you press Start",
  trustPoints: [
    "Your browser computes: it is sent numbers, and sends numbers back. It opens no file of the data, and sees no text of it.",
    "Nothing is installed, and nothing on your computer is read. The invitation holds data, never code.",
    "The invitation is signed, and this page has checked that nobody changed it on its way to you.",
    "Others may check your results by computing some of them again.",
    "Stop, or close the page, whenever you like: nobody waits for you.",
  ],
  trusted: "This training lets volunteers who trust each other connect directly. Yours will not unless you say so.",

  start: "Start",
  stop: "Stop",
  startAgain: "Start again",

  status: {
    idle: "Ready when you are.",
    opening: "Trying out what computes fastest here …",
    connecting: "Connecting …",
    waiting: "Connected, waiting for something to do …",
    working: "Computing. Thank you!",
    ended: "Ended.",
  },
  stopped: "Stopped. Thank you for what you gave.",
  paused: {
    asked: "Paused.",
    hidden: "Paused while this page is hidden.",
    battery: "Paused while your computer runs on battery.",
    data: "Paused while your browser saves data.",
    limits: "Paused: your limit of data is reached.",
  } satisfies Record<LeafPause, string>,
  done: "The training is done. Thank you for what you gave!",

  watch: "You may watch this job",
  watching: "What is below comes as it happens.",
  watchNote: "Your browser shows how far the training is, and computes nothing. Close the page whenever you like.",
  watchDone: "The training is done. Thank you for watching!",
  watchTitle: "Volary: watch a training",
  watchRefusal: (code: string): string => WATCH_REFUSALS[code] ?? TEXT.refusal(code),

  yours: "What you gave",
  mySteps: "My steps",
  mySamples: "My samples",
  myShare: "My share",
  myShareHint: "of all samples since I started",
  device: "Computes on",
  deviceNames: { webgpu: "WebGPU", webgl: "WebGL", wasm: "WebAssembly", cpu: "JavaScript" },
  gpuTime: "GPU time",
  cpuTime: "CPU time",
  sent: "Sent",
  received: "Received",
  refusedUpdates: "Not counted",
  job: "How far the training is",
  step: (step: string, steps: string) => `Step ${step} of ${steps}`,
  workers: (workers: number) => (workers === 1 ? "1 worker" : `${workers} workers`),
  lossNow: "Loss now",
  heldOut: (metric: string) => `Held-out ${metric}`,
  atStep: (step: string) => `at step ${step}`,
  atEnd: "at the end",
  speed: "Rows a second",
  speedHint: "by all, since it began",
  lossTitle: "Loss",
  lossLine: "mean error",
  lossX: "step",
  lossEmpty: "The curve begins with the first news from the training.",

  limits: "What I give at most",
  share: "Share of the time",
  shareValue: (percent: number) => `${percent} %`,
  mainsOnly: "Only on mains power",
  mainsUnknown: "Your browser does not tell whether it runs on battery.",
  whileSeen: "Pause while this page is hidden",
  dataSaver: "Pause while my browser saves data",
  mayConnect: "Connect to other volunteers directly",
  mayConnectNote: "It is faster, and shows them the address of your network. Without it all goes through the gateway.",
  megabytes: "Data of this visit, in megabytes (0 is no limit)",
};
