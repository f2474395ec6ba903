/**
 * One rank of Volary's all-reduce, a process of its own, as a worker has it: links to its peers, and rounds over them.
 * Its commands: `meet ADDRESSES`, `fill FLOATS`, `reduce REPEATS`, and `check REPEATS` once all ranks have reduced.
 */
import { createInterface } from "node:readline";
import { DenseRounds, PeerLinks } from "@volary/core/training";
import { copyOfFrame, type Frame } from "@volary/core/wire";
import { listenForPeers, realClock, wsDialer } from "@volary/node-worker";
import { sentBytes } from "./sent-bytes.ts";
import { fillValues, wrongValues } from "./values.ts";

/** What this process is started with. */
export interface RankRequest {
  rank: number;
  size: number;
  /** What is wrong on purpose in a control: each frame is sent twice, late, and rank 0 changes a value of its own. */
  fault?: "late-twice-and-wrong" | undefined;
}

/** From when to when, in seconds of the clock that all processes of a machine share. */
export interface Span {
  from: number;
  to: number;
}

export interface Checked {
  wrong: number;
  /** Since the process began. */
  sentBytes: number;
}

const JOB = 1;
const ATTEMPT = 1;
const LATE_MS = 25;
const { rank, size, fault } = JSON.parse(process.argv[2]!) as RankRequest;
/** Workers are numbered from 1. */
const members = Array.from({ length: size }, (_, i) => i + 1);
const worker = members[rank]!;

let values = new Float32Array(0);
let step = 0;
let onReduced: () => void = () => {};

const rounds = new DenseRounds({
  job: JOB,
  send: (to, f, onSent) => (fault ? sendBadly(to, f, onSent) : peers.sendFrame(to, f, onSent)),
  awaits: (at) => at.step > step,
  reduced: (_, sum) => {
    values = sum as Float32Array<ArrayBuffer>;
    onReduced();
  },
});
const peers = new PeerLinks({
  worker,
  job: JOB,
  name: `rank-${rank}`,
  dialer: wsDialer(),
  clock: realClock,
  events: {
    onControl: () => {},
    onFrame: (_, f) => rounds.take(f),
    onLost: (_, reason) => {
      throw new Error(`rank ${rank}: ${reason}`);
    },
  },
});
const port = await listenForPeers({
  host: "127.0.0.1",
  port: 0,
  name: `rank-${rank}`,
  refuse: () => undefined,
  accept: ({ id }, link) => peers.accept(id!, link),
  log: (message) => console.error(message),
});

function sendBadly(to: number, f: Frame, onSent?: () => void): void {
  const kept = { ...copyOfFrame(f), lent: false };
  onSent?.();
  if (rank === 0) kept.values[0]! += 1;
  setTimeout(() => {
    peers.sendFrame(to, kept);
    peers.sendFrame(to, kept);
  }, LATE_MS);
}

async function reduce(repeats: number): Promise<Span> {
  const from = seconds();
  for (let i = 0; i < repeats; i++) {
    await new Promise<void>((resolve) => {
      onReduced = resolve;
      step++;
      rounds.begin({ step, attempt: ATTEMPT, rank, members, data: values });
    });
  }
  return { from, to: seconds() };
}

const seconds = (): number => Number(process.hrtime.bigint()) / 1e9;

async function answer(line: string): Promise<object> {
  const [command, argument] = line.split(" ");
  switch (command) {
    case "meet": {
      const addresses = argument!.split(",");
      peers.meet(members.map((worker, i) => ({ worker, name: `rank-${i}`, address: addresses[i]! })));
      return {};
    }
    case "fill":
      if (values.length !== Number(argument)) values = new Float32Array(Number(argument));
      fillValues(values, rank);
      return { wrong: 0, sentBytes: sentBytes() } satisfies Checked;
    case "reduce":
      return reduce(Number(argument));
    case "check":
      return {
        wrong: wrongValues(values, { size, repeats: Number(argument) }),
        sentBytes: sentBytes(),
      } satisfies Checked;
    default:
      throw new TypeError(`unknown command: ${line}`);
  }
}

console.log(JSON.stringify({ address: port.address }));
for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await answer(line)));
peers.close();
await port.stop();
