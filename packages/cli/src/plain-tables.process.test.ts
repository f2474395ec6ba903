/** Plain tables on a real local cluster: server updates of a plugin file, exactly-once pushes, classic algorithms. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { afterUpdates, ftrl, leastFrequent, sgd } from "@volary/core";
import { seededRandom } from "@volary/core/testing";
import type { Dialer, Frame, Link } from "@volary/core/wire";
import { CoordinatorClient } from "./cluster/coordinator-client.ts";
import { dialer, realClock } from "./cluster/dialer.ts";
import { Cluster } from "./cluster/cluster.ts";
import { openTables } from "./cluster/tables.ts";
import { plugin } from "./plugin-file.ts";

/** Inside the package, so that a plugin finds what it imports. */
const DIST = path.join(import.meta.dirname, "../dist");
const UPDATES = `
import { serverUpdate } from "@volary/core/optimizer";
export const clippedSgd = serverUpdate({
  name: "clippedSgd",
  options: { learningRate: 0.5, limit: 1 },
  update({ weights, gradient, options: { learningRate, limit } }) {
    for (let i = 0; i < weights.length; i++)
      weights[i] -= learningRate * Math.max(-limit, Math.min(limit, gradient[i]));
  },
});`;

function randomOf(seed: number): () => number {
  const random = seededRandom(seed);
  return () => random.next();
}

let folder = "";
let updates = "";
let cluster: Cluster;
beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  folder = await mkdtemp(path.join(DIST, "tables-"));
  updates = path.join(folder, "updates.mjs");
  await writeFile(updates, UPDATES);
  cluster = await Cluster.local({ ps: 2, workers: 1, device: "cpu", plugins: [updates] });
});
afterAll(async () => {
  await cluster?.stop();
  await rm(folder, { recursive: true });
});

test("an update that no PS node has loaded, or from another file, is refused by name", async () => {
  const other = path.join(folder, "other.mjs");
  await copyFile(updates, other);
  await writeFile(other, `${UPDATES}\n// changed`);
  await expect(cluster.tables({ t: { dim: 1, update: plugin(other, "clippedSgd") } })).rejects.toThrow(
    /^PS node ps-\d: the job needs server update "clippedSgd" of a plugin file with SHA-256 [0-9a-f]{12}…, and .*updates\.mjs on this node has [0-9a-f]{12}…: /,
  );
  await expect(cluster.tables({ t: { dim: 1, update: plugin(updates, "nope") } })).rejects.toThrow(
    /server update "nope" .* give it that file, as `volary ps --plugin FILE`/,
  );
  await expect(cluster.tables({ t: { dim: 1, update: plugin(updates, "clippedSgd", { rate: 1 }) } })).rejects.toThrow(
    /server update "clippedSgd" has no option "rate"/,
  );
});

test("a server update of a plugin file, counts, sums and maxima apply to many keys on two PS nodes", async () => {
  const tables = await cluster.tables({
    clipped: { dim: 2, update: plugin(updates, "clippedSgd", { limit: 2 }) },
    seen: { dim: 1, update: "count" },
    best: { dim: 1, update: "max", initializer: { kind: "constant", value: -1 } },
  });
  const keys = BigUint64Array.from({ length: 1000 }, (_, i) => BigInt(i) * 0x9e37_79b9_7f4a_7c15n);
  await tables.clipped.push(
    keys,
    new Float32Array(2000).map((_, i) => (i % 2 === 0 ? 100 : -1)),
  );
  const clipped = await tables.clipped.pull(keys);
  expect(clipped.every((weight, i) => weight === (i % 2 === 0 ? -1 : 0.5))).toBe(true);

  await Promise.all([
    tables.seen.push(keys),
    tables.seen.push([...keys, ...keys]),
    tables.best.push(keys, keys1(keys)),
  ]);
  expect(new Set(await tables.seen.pull(keys))).toEqual(new Set([3]));
  expect(await tables.best.pull(keys)).toEqual(keys1(keys));
  expect([...(await tables.best.get([12345]))]).toEqual([-1]);
  let rows = 0;
  for await (const { keys: some } of tables.seen.export()) rows += some.length;
  expect(rows).toBe(1000);

  tables.close();
  await expect(tables.seen.pull([1])).rejects.toThrow(/these tables are closed/);
});

test("tables have rows of the dtype that was asked for, admit keys, and let rows go", async () => {
  const tables = await cluster.tables({
    narrow: { dim: 2, optimizer: sgd({ learningRate: 1 }), dtype: "bfloat16" },
    admitted: { dim: 1, update: "count", admit: afterUpdates(2) },
    bounded: { dim: 1, update: "count", evict: leastFrequent({ rowsMax: 2560 }) },
  });
  const keys = BigUint64Array.from({ length: 5000 }, (_, i) => BigInt(i) * 0x9e37_79b9_7f4a_7c15n);
  const often = keys.subarray(0, 10);

  const random = randomOf(7);
  const gradients = Float32Array.from({ length: 2 * keys.length }, random);
  await tables.narrow.push(keys, gradients);
  const weights = await tables.narrow.pull(keys);
  expect(new Uint32Array(weights.buffer).every((bits) => (bits & 0xffff) === 0)).toBe(true);
  expect(weights.every((weight, i) => Math.abs(weight + gradients[i]!) <= gradients[i]! / 128)).toBe(true);

  await tables.admitted.push(keys);
  await tables.admitted.push(often);
  expect([...(await tables.admitted.pull(keys))]).toEqual(Array.from(keys, (_, i) => (i < often.length ? 1 : 0)));

  await tables.bounded.push(often);
  await tables.bounded.push(keys);
  let rows = 0;
  for await (const { keys: some } of tables.bounded.export()) rows += some.length;
  expect(rows).toBeLessThanOrEqual(2560);
  expect(new Set(await tables.bounded.pull(often))).toEqual(new Set([2]));
  tables.close();
});

const keys1 = (keys: BigUint64Array) => Float32Array.from(keys, (_, i) => i);

/** Links that lose some requests, and some answers, and break at that. */
function flawed(random: () => number, dialed: { links: number }): Dialer {
  return {
    dial: async (address, hello) => {
      dialed.links++;
      const link = await dialer.dial(address, hello);
      let isBroken = false;
      const fails = () => random() < 0.1;
      const breakIt = () => {
        isBroken = true;
        link.close("flawed on purpose");
      };
      return {
        name: link.name,
        close: (reason) => link.close(reason),
        sendControl: (control) => link.sendControl(control),
        sendFrame: (f: Frame) => (fails() ? breakIt() : link.sendFrame(f)),
        listen: (events) =>
          link.listen({
            ...events,
            onFrame: (f) => {
              if (isBroken) return;
              if (fails()) breakIt();
              else events.onFrame(f);
            },
          }),
      } satisfies Link;
    },
  };
}

test("every push counts once, though links break before requests and answers arrive", async () => {
  const dialed = { links: 0 };
  const client = await CoordinatorClient.connect({
    address: cluster.address,
    name: "flawed",
    dialer,
    clock: realClock,
  });
  const tables = await openTables({
    tables: { sums: { dim: 1, update: "sum" } },
    client,
    name: "flawed",
    dialer: flawed(randomOf(7), dialed),
    clock: realClock,
  });
  const keys = Array.from({ length: 40 }, (_, i) => i);
  for (let round = 0; round < 25; round++)
    await tables.sums.push(
      keys,
      keys.map(() => 1),
    );
  expect(new Set(await tables.sums.pull(keys))).toEqual(new Set([25]));
  expect(dialed.links).toBeGreaterThan(4); // the two of the beginning, and one for each that broke
  tables.close();
  client.close();
});

test("FTRL logistic regression through pull and push learns who clicks, and leaves noise at 0", async () => {
  const tables = await cluster.tables({ weights: { dim: 1, optimizer: ftrl({ learningRate: 0.5, l1: 1 }) } });
  const random = randomOf(3);
  const [users, noises] = [50, 2000];
  const truth = Array.from({ length: users }, (_, i) => (i % 2 === 0 ? 2 : -2));
  const sampleOf = () => {
    const user = Math.floor(random() * users);
    const noise = users + Math.floor(random() * noises);
    return { keys: [user, noise], label: random() < 1 / (1 + Math.exp(-truth[user]!)) ? 1 : 0 };
  };
  for (let batch = 0; batch < 40; batch++) {
    const samples = Array.from({ length: 100 }, sampleOf);
    const keys = samples.flatMap((sample) => sample.keys);
    const weights = await tables.weights.pull(keys);
    const gradients = samples.flatMap(({ label }, s) => {
      const error = 1 / (1 + Math.exp(-(weights[2 * s]! + weights[2 * s + 1]!))) - label;
      return [error, error];
    });
    await tables.weights.push(keys, gradients);
  }
  const weights = await tables.weights.pull(Array.from({ length: users + noises }, (_, i) => i));
  const right = truth.filter((value, i) => Math.sign(weights[i]!) === Math.sign(value));
  expect(right.length).toBe(users);
  expect(weights.subarray(users).filter((weight) => weight === 0).length).toBeGreaterThan(0.7 * noises);
  tables.close();
});

test("collapsed Gibbs sampling of LDA keeps its word-topic counts on the cluster, every token counted once", async () => {
  const topics = 2;
  const tables = await cluster.tables({ words: { dim: topics, update: "sum" } });
  const random = randomOf(11);
  // Documents of even number use words 0–9, those of odd number 10–19.
  const documents = Array.from({ length: 20 }, (_, d) =>
    Array.from({ length: 20 }, () => 10 * (d % 2) + Math.floor(random() * 10)),
  );
  const assigned = documents.map((words) => words.map(() => Math.floor(random() * topics)));
  const changes = new Map<number, Float32Array>();
  const note = (word: number, topic: number, by: number) => {
    if (!changes.has(word)) changes.set(word, new Float32Array(topics));
    changes.get(word)![topic]! += by;
  };
  const pushChanges = async () => {
    await tables.words.push(
      [...changes.keys()],
      [...changes.values()].flatMap((row) => [...row]),
    );
    changes.clear();
  };
  documents.forEach((words, d) => words.forEach((word, i) => note(word, assigned[d]![i]!, 1)));
  await pushChanges();
  const vocabulary = Array.from({ length: 20 }, (_, word) => word);
  for (let sweep = 0; sweep < 15; sweep++) {
    for (const [d, words] of documents.entries()) {
      const counts = await tables.words.pull(vocabulary);
      const totals = Array.from({ length: topics }, (_, t) =>
        vocabulary.reduce((sum, w) => sum + counts[w * topics + t]!, 0),
      );
      for (const [i, word] of words.entries()) {
        const odds = totals.map((total, t) => {
          const ofDocument = assigned[d]!.filter((each, j) => each === t && j !== i).length;
          return ((ofDocument + 0.1) * (counts[word * topics + t]! + 0.1)) / (total + 2);
        });
        const pick = random() * odds.reduce((a, b) => a + b) < odds[0]! ? 0 : 1;
        note(word, assigned[d]![i]!, -1);
        note(word, pick, 1);
        assigned[d]![i] = pick;
      }
      await pushChanges();
    }
  }
  const counts = await tables.words.pull(vocabulary);
  expect(counts.reduce((a, b) => a + b)).toBe(20 * 20);
  const share = (from: number) =>
    vocabulary.slice(from, from + 10).reduce((sum, w) => sum + counts[w * topics]!, 0) / 200;
  expect(Math.abs(share(0) - share(10))).toBeGreaterThan(0.8);
  tables.close();
});

test("a PS node that dies takes the rows along: calls fail with the reason, those under way too", async () => {
  const own = await Cluster.local({ ps: 2, workers: 1, device: "cpu", onWarning: () => {} });
  try {
    const tables = await own.tables({ sums: { dim: 1, update: "sum" } });
    const keys = Array.from({ length: 100 }, (_, i) => i);
    await tables.sums.push(keys, keys);
    process.kill(own.processes.find(({ name }) => name === "ps-2")!.pid!, "SIGKILL");
    const gone = /^the tables are gone: PS node ps-2 is lost/;
    // Whether a link breaks before the coordinator tells or after, the caller hears the same.
    await expect(tables.sums.push(keys, keys)).rejects.toThrow(gone);
    await expect(tables.sums.pull(keys)).rejects.toThrow(gone);
  } finally {
    await own.stop();
  }
});
