/** Several PS nodes behind one port, as processes of the command. */
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import { adagrad, embedding, input, sgd, through } from "@volary/core";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { ChildRole, type LogEntry, type RoleName } from "./cluster/child-role.ts";
import { Cluster } from "./cluster/cluster.ts";
import { dialer } from "./cluster/dialer.ts";

const MAIN = path.join(import.meta.dirname, "main.ts");

let lines: string[] = [];
let heard: (() => void)[] = [];
beforeEach(() => {
  lines = [];
  heard = [];
});

const log = ({ line }: LogEntry) => {
  lines.push(line);
  for (const wake of heard.splice(0)) wake();
};

/** Resolves with the first line that fits. */
async function lineOf(pattern: RegExp): Promise<string> {
  for (;;) {
    const line = lines.find((each) => pattern.test(each));
    if (line !== undefined) return line;
    await new Promise<void>((resolve) => heard.push(resolve));
  }
}

async function start(role: RoleName, ...args: string[]): Promise<{ address: string; child: ChildRole }> {
  const command = [process.execPath, "--conditions=volary-source", MAIN, role, "--machine", ...args];
  const child = new ChildRole({ role, name: role, command, log });
  onTestFinished(() => child.stop());
  return { child, address: (await child.ready()).address };
}

async function startPair() {
  const { address: coordinator } = await start("coordinator", "--port", "0", "--replicas", "2");
  const ps = await start(
    "ps",
    "--coordinator",
    coordinator,
    "--name",
    "pair",
    "--processes",
    "2",
    "--memory-max",
    "1g",
  );
  const cluster = await Cluster.connect(coordinator);
  onTestFinished(() => cluster.stop());
  return { coordinator, ps, cluster, http: ps.address.replace("ws:", "http:") };
}

/** Ends process 2 behind the port. */
async function killSecond(http: string): Promise<void> {
  const metrics = await (await fetch(`${http}/metrics`)).text();
  process.kill(Number(/volary_ps_process_id\{process="2"\} (\d+)/.exec(metrics)![1]), "SIGKILL");
}

/** Rows [from, to) of an endless table: who clicks depends on the user. */
function clicks(from: number, to: number) {
  const rows = Array.from({ length: to - from }, (_, i) => from + i);
  return { x: { user: rows.map((row) => `user ${row % 97}`) }, y: rows.map((row) => (Math.sin(row % 97) > 0 ? 1 : 0)) };
}

test("a process that ends is told, and comes back as a fresh node", async () => {
  const { cluster, http, ps } = await startPair();
  expect(await (await fetch(`${http}/health`)).text()).toBe("ok");
  const nodes = async () => (await cluster.status()).nodes.toSorted((a, b) => a.name.localeCompare(b.name));
  const before = await nodes();
  expect(before).toMatchObject([
    { name: "pair-1", address: `${ps.address}/1` },
    { name: "pair-2", address: `${ps.address}/2` },
  ]);
  await killSecond(http);
  await lineOf(/PS process 2 of pair ended \(SIGKILL\): what it held is lost; starting it anew/);
  await expect.poll(async () => (await nodes())[1]?.node).toBeGreaterThan(before[1]!.node);
  // The coordinator counts it a moment before the node has heard so.
  await expect.poll(async () => (await fetch(`${http}/health`)).text()).toBe("ok");
});

test("what was pushed outlives a process, and comes back to the one that takes its place", async () => {
  const { cluster, http } = await startPair();
  const { rows } = await cluster.tables({
    rows: { dim: 1, initializer: { kind: "zeros" }, update: sgd({ learningRate: 1 }) },
  });
  const keys = BigUint64Array.from({ length: 500 }, (_, i) => BigInt(i));
  const gradients = new Float32Array(500).fill(-1);
  await rows.push(keys, gradients);
  await killSecond(http);
  await rows.push(keys, gradients);
  expect(await rows.pull(keys)).toEqual(new Float32Array(500).fill(2));
  await expect.poll(async () => (await cluster.status()).chains).toMatchObject({ short: 0, moving: 0 });
  await rows.push(keys, gradients);
  expect(await rows.pull(keys)).toEqual(new Float32Array(500).fill(3));
});

test("no connection loses what it says first while it is handed over", async () => {
  const { ps } = await startPair();
  for (let i = 0; i < 300; i++) {
    const nodes = [1, 2].map((node) => dialer.dial(`${ps.address}/${node}`, { role: "client", name: `client ${i}` }));
    for (const link of await Promise.all(nodes)) link.close("it was heard");
  }
});

test("trains, answers pulls and pushes of all its nodes, and counts them apart", async () => {
  const { coordinator, cluster, http } = await startPair();
  await start("worker", "--coordinator", coordinator, "--device", "cpu");
  const { rows } = await cluster.tables({
    rows: { dim: 2, initializer: { kind: "zeros" }, update: sgd({ learningRate: 1 }) },
  });
  const keys = BigUint64Array.from({ length: 1000 }, (_, i) => BigInt(i));
  await rows.push(
    keys,
    Float32Array.from({ length: 2000 }, (_, i) => -i),
  );
  expect(await rows.pull(keys)).toEqual(Float32Array.from({ length: 2000 }, (_, i) => i));

  const user = input({ name: "user", dtype: "string" });
  const row = embedding({ table: "user", dim: 4 }).apply(user);
  const kernelInitializer = tf.initializers.glorotNormal({ seed: 1 });
  const clicked = through([row], tf.layers.dense({ units: 1, activation: "sigmoid", kernelInitializer }));
  const model = tf.model({ inputs: [user], outputs: clicked, name: "clicks" });
  const run = await cluster.fit(model, clicks(0, 1000), {
    compile: {
      optimizer: "adam",
      sparseOptimizer: adagrad({ learningRate: 0.3 }),
      loss: "binaryCrossentropy",
      metrics: ["auc"],
    },
    epochs: 3,
    batchSize: 100,
  });
  expect((await run.evaluate(clicks(1000, 1500))).auc).toBeGreaterThan(0.95);

  const metrics = await (await fetch(`${http}/metrics`)).text();
  for (const process of [1, 2]) {
    expect(metrics).toMatch(new RegExp(`volary_ps_up\\{process="${process}",node="\\d+"\\} 1`));
    const rowsPushed = new RegExp(`volary_ps_rows_pushed_total\\{process="${process}"\\} (\\d+)`).exec(metrics)![1];
    expect(Number(rowsPushed)).toBeGreaterThan(400);
  }
});
