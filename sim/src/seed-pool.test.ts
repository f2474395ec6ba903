import { expect, test } from "vitest";
import { SeedPool } from "./seed-pool.ts";

/** Threads that run this for each request. */
function poolOf(threads: number, body: string): SeedPool {
  const source = `import { parentPort } from "node:worker_threads"; parentPort.on("message", (request) => { ${body} });`;
  return new SeedPool(threads, new URL(`data:text/javascript,${encodeURIComponent(source)}`));
}

const REPLY = "parentPort.postMessage(request)";

test("results come in the order of their seeds, whichever thread was first", async () => {
  // The first of each two is answered after the second.
  const body = `if (request.seed % 2 === 0) ${REPLY}; else setTimeout(() => ${REPLY}, 5)`;
  const pool = poolOf(2, body);
  const seeds: number[] = [];
  for await (const { seed } of pool.runAll({ first: 7, count: 9 })) seeds.push(seed);
  await pool.close();
  expect(seeds).toEqual([7, 8, 9, 10, 11, 12, 13, 14, 15]);
});

test("a sabotage goes with each seed", async () => {
  const pool = poolOf(1, REPLY);
  const found: unknown[] = [];
  for await (const each of pool.runAll({ first: 1, count: 2, sabotage: "ack-before-tail" })) found.push(each);
  await pool.close();
  expect(found).toEqual([
    { seed: 1, sabotage: "ack-before-tail" },
    { seed: 2, sabotage: "ack-before-tail" },
  ]);
});

test("more requests than threads wait for their turn", async () => {
  const pool = poolOf(1, REPLY);
  const results = await Promise.all([1, 2, 3].map((seed) => pool.run({ seed })));
  await pool.close();
  expect(results.map(({ seed }) => seed)).toEqual([1, 2, 3]);
});

test("a thread that breaks fails its seed", async () => {
  const pool = poolOf(1, `throw new Error("broken at " + request.seed)`);
  await expect(pool.run({ seed: 4 })).rejects.toThrow("broken at 4");
  await pool.close();
});
