/**
 * An open load on plain tables, in a process of its own: pushes and pulls are sent when they are due, whether those
 * before were answered or not, so that a pause of the cluster delays all that is due in it.
 *
 * Each request is about one key in every 16th partition, the next one about the partitions after those. Pushes count:
 * the client knows what each row must be at the end. Pulls read rows that it has set before.
 */
import { partitionFunction } from "@volary/core/partition";
import { seededRandom } from "@volary/core/testing";
import { createInterface } from "node:readline";
import { Cluster } from "volary";
import type { LoadOutcome, LoadRequest } from "./open-load.ts";
import type { Timeline } from "./timeline.ts";

const PARTITIONS = 256;
const GROUPS = 16;
const DIM = 8;
const SET_ROWS = 10_000;

const request = JSON.parse(process.argv[2]!) as LoadRequest;
const cluster = await Cluster.connect(request.coordinator);
const { sums, rows } = await cluster.tables({
  sums: { dim: 1, update: "sum" },
  rows: { dim: DIM, update: "set" },
});

/** Keys below `count` by their partition. */
function keysByPartition(count: number): number[][] {
  const partitionOf = partitionFunction({ kind: "hash" }, PARTITIONS);
  const keys: number[][] = Array.from({ length: PARTITIONS }, () => []);
  for (let key = 0; key < count; key++) keys[partitionOf(key, 0)]!.push(key);
  const empty = keys.findIndex((of) => of.length === 0);
  if (empty >= 0) throw new RangeError(`${count} rows leave partition ${empty} empty: give more`);
  return keys;
}

const keysOf = keysByPartition(request.rows);
const partitionsOf = Array.from({ length: GROUPS }, (_, group) =>
  keysOf.filter((_keys, partition) => partition % GROUPS === group),
);
/** Of the pushes, one in each partition. */
const countedKeys = partitionsOf.map((partitions) => partitions.map((keys) => keys[0]!));
const random = seededRandom(1);

const valueOf = (key: number, d: number): number => ((key * 31 + d * 7) % 1000) + 1;

async function setRows(): Promise<void> {
  for (let from = 0; from < request.rows; from += SET_ROWS) {
    const keys = Array.from({ length: Math.min(SET_ROWS, request.rows - from) }, (_, i) => from + i);
    await rows.set(
      keys,
      keys.flatMap((key) => Array.from({ length: DIM }, (_, d) => valueOf(key, d))),
    );
  }
}

/** Requests at fixed times; what became of them. */
class OpenLoop {
  readonly timeline: Timeline = { due: [], answered: [], group: [] };
  failed = 0;
  readonly #send: (group: number) => Promise<void>;
  readonly #everyMs: number;
  readonly #underWay = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(perSecond: number, send: (group: number) => Promise<void>) {
    this.#everyMs = 1000 / perSecond;
    this.#send = send;
  }

  start(): void {
    const startMs = Date.now();
    const sendDue = () => {
      for (;;) {
        const due = startMs + this.timeline.due.length * this.#everyMs;
        if (due > Date.now()) break;
        this.#sendOne(due);
      }
    };
    this.#timer = setInterval(sendDue, 1);
  }

  /** Sends no more, and waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
  }

  #sendOne(due: number): void {
    const { timeline } = this;
    const number = timeline.due.push(due) - 1;
    const group = number % GROUPS;
    timeline.group.push(group);
    timeline.answered.push(null);
    const sent = this.#send(group).then(
      () => void (timeline.answered[number] = Date.now()),
      (error: unknown) => {
        if (this.failed++ === 0) console.error(String(error));
      },
    );
    this.#underWay.add(sent);
    void sent.finally(() => this.#underWay.delete(sent));
  }
}

/** Pushes that were acknowledged, and those that failed: whether they count is not known. */
const acknowledged = new Uint32Array(GROUPS);
const unresolved = new Uint32Array(GROUPS);
let pushes = 0;

async function push(group: number): Promise<void> {
  const keys = countedKeys[group]!;
  const ones = keys.map(() => 1);
  const number = pushes++;
  // What is wrong on purpose in a control: one push is acknowledged and was never sent, another counts twice.
  const times = request.fault !== "miscounts" || number > 1 ? 1 : 2 * number;
  try {
    for (let time = 0; time < times; time++) await sums.push(keys, ones);
    acknowledged[group]!++;
  } catch (error) {
    unresolved[group]!++;
    throw error;
  }
}

let isIntact = true;

async function pull(group: number): Promise<void> {
  const keys = partitionsOf[group]!.map((of) => of[random.below(of.length)]!);
  const pulled = await rows.pull(keys);
  keys.forEach((key, i) => {
    for (let d = 0; d < DIM; d++) if (pulled[i * DIM + d] !== valueOf(key, d)) isIntact = false;
  });
}

/** Compares the counted rows with what was acknowledged. */
async function outcome(): Promise<LoadOutcome> {
  let [lost, doubled] = [0, 0];
  for (const [group, keys] of countedKeys.entries()) {
    const [sure, unsure] = [acknowledged[group]!, unresolved[group]!];
    for (const sum of await sums.pull(keys)) {
      lost += Math.max(0, sure - sum);
      doubled += Math.max(0, sum - sure - unsure);
    }
  }
  return {
    pushes: pushLoop.timeline,
    pulls: pullLoop.timeline,
    lost,
    doubled,
    unresolved: pushLoop.failed,
    failedPulls: pullLoop.failed,
    isIntact,
  };
}

await setRows();
const pushLoop = new OpenLoop(request.pushesPerSecond, push);
const pullLoop = new OpenLoop(request.pullsPerSecond, pull);
pushLoop.start();
pullLoop.start();
console.log(JSON.stringify({ ready: true }));
for await (const _ of createInterface({ input: process.stdin })) {
  await Promise.all([pushLoop.stop(), pullLoop.stop()]);
  console.log(JSON.stringify(await outcome()));
}
await cluster.stop();
