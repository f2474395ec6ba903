import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { Cluster } from "./cluster.ts";
import type { ClusterProcess } from "./local-cluster.ts";

const MAIN = path.join(import.meta.dirname, "../main.ts");

/** Whether a process runs; one that has ended but was not collected by its parent does not. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

const untilAllEnded = (processes: readonly ClusterProcess[]) =>
  expect.poll(() => processes.filter(({ pid }) => isAlive(pid!))).toEqual([]);

interface Up {
  parent: ChildProcess;
  address: string;
  processes: ClusterProcess[];
}

const parents: ChildProcess[] = [];
afterEach(() => parents.splice(0).forEach((parent) => parent.kill("SIGKILL")));

async function up(): Promise<Up> {
  const args = [
    "--conditions=volary-source",
    MAIN,
    "up",
    "--port",
    "0",
    "--ps",
    "1",
    "--workers",
    "1",
    "--device",
    "cpu",
    "--groups",
    "--json",
  ];
  const parent = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  parents.push(parent);
  const [line] = (await once(createInterface({ input: parent.stdout }), "line")) as [string];
  const { address, processes } = JSON.parse(line) as Omit<Up, "parent">;
  expect(processes.map(({ name }) => name)).toEqual(["coordinator", "ps-1", "worker-1"]);
  expect(processes.every(({ pid }) => isAlive(pid!))).toBe(true);
  const withGroups = processes.filter(({ pid }) => readFileSync(`/proc/${pid!}/cmdline`, "utf8").includes("--groups"));
  expect(withGroups.map(({ name }) => name)).toEqual(["worker-1"]);
  return { parent, address, processes };
}

test("no process outlives a parent that is killed with -9", async () => {
  const { parent, processes } = await up();
  parent.kill("SIGKILL");
  await untilAllEnded(processes);
});

test.each(["SIGINT", "SIGTERM"] as const)("%s ends a whole cluster gracefully", async (signal) => {
  const { parent, processes } = await up();
  parent.kill(signal);
  const [code] = (await once(parent, "exit")) as [number | null];
  expect(code).toBe(0);
  expect(processes.filter(({ pid }) => isAlive(pid!))).toEqual([]);
});

test("Cluster.local() runs what was asked for, tells of a death, and stop() ends the rest", async () => {
  const warnings: string[] = [];
  const cluster = await Cluster.local({ ps: 2, workers: 1, device: "cpu", onWarning: (text) => warnings.push(text) });
  try {
    const { nodes, workers, jobs } = await cluster.status();
    expect(nodes.map(({ name }) => name).toSorted()).toEqual(["ps-1", "ps-2"]);
    expect(workers.map(({ name }) => name)).toEqual(["worker-1"]);
    expect(jobs).toEqual([]);
    const other = await Cluster.connect(cluster.address);
    expect((await other.status()).nodes).toHaveLength(2);
    await other.stop();

    process.kill(cluster.processes.find(({ name }) => name === "ps-2")!.pid!, "SIGKILL");
    await expect.poll(() => warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^ps-2 ended unexpectedly \(SIGKILL\); /);
    await expect.poll(async () => (await cluster.status()).nodes).toHaveLength(1);
  } finally {
    await cluster.stop();
  }
  expect(warnings).toHaveLength(1);
  expect(cluster.processes.filter(({ pid }) => isAlive(pid!))).toEqual([]);
});

test("a cluster whose worker cannot start says why", async () => {
  const starting = Cluster.local({ ps: 1, workers: 1, device: "no-such-device" as "cpu" });
  await expect(starting).rejects.toThrow(
    /^worker-1 ended \(exit code 2\) before it was ready: .*'no-such-device' is invalid/,
  );
});

test("a cluster whose coordinator finds its port taken says so, once", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const warnings: string[] = [];
  const starting = Cluster.local({ ps: 1, workers: 1, port, onWarning: (text) => warnings.push(text) });
  const message = `coordinator ended (exit code 1) before it was ready: port ${port} on 127.0.0.1 is in use; `;
  await expect(starting).rejects.toThrow(message);
  expect(warnings).toEqual([]);
  server.close();
});
