import { expect, test } from "vitest";
import { Requests } from "../../client/index.ts";
import { SimulatedClock } from "../../testing/index.ts";
import { frame, KeyLists, type Frame, type Link } from "../../wire/index.ts";
import { CommittedRows } from "./committed-rows.ts";
import { batchOf, DIMS, eachKey, manifestOf, mapOf } from "./test-batches.ts";

/** Nodes that answer each pull with rows of ones, and the keys that each was asked for, pull by pull. */
function nodes() {
  const map = mapOf({ nodes: 3 });
  const requests = new Requests();
  const pulls: { node: number; keys: string[] }[] = [];
  const links = map.nodes.map(({ node, name }): Link => {
    const lists = new KeyLists();
    const answer = (sent: Frame): void => {
      const f = lists.resolve(sent)!;
      const keys: string[] = [];
      let floats = 0;
      eachKey(f, ({ table, key }) => {
        keys.push(`${table}/${key}`);
        floats += DIMS.get(table)!;
      });
      pulls.push({ node, keys });
      const values = new Float32Array(floats).fill(1);
      queueMicrotask(() => requests.takeFrame(frame({ opcode: "pullReply", requestId: f.requestId, values })));
    };
    return { name, listen: () => {}, close: () => {}, sendControl: () => {}, sendFrame: answer };
  });
  const of = { map, onMap: () => () => {}, get: (node: number) => links[node - 1], requestMap: () => {} };
  const manifest = manifestOf({ cache: { stalenessSteps: 4 } });
  return { rows: new CommittedRows({ job: 1, manifest, links: of, requests, clock: new SimulatedClock() }), pulls };
}

const KEYS = Array.from({ length: 20 }, (_, i) => [i, i] as const);

test("pull() asks a node for nothing but what it must have anew", async () => {
  const { rows, pulls } = nodes();
  const first = await rows.pull(batchOf({ keys: KEYS }), { age: { at: 5, oldest: 1 } });
  expect(first.gather().every((value) => value === 1)).toBe(true);
  expect(first.use).toEqual({ rows: 40, cachedRows: 0 });
  expect(pulls.map(({ node }) => node)).toEqual([1, 2, 3]);

  pulls.length = 0;
  const second = await rows.pull(batchOf({ keys: [...KEYS, [20, 0]] }), { age: { at: 6, oldest: 2 } });
  expect(second.gather().every((value) => value === 1)).toBe(true);
  expect(second.use).toEqual({ rows: 41, cachedRows: 40 });
  expect(pulls.map(({ keys }) => keys)).toEqual([["1/20"]]);

  pulls.length = 0;
  const third = await rows.pull(batchOf({ keys: KEYS }), { age: { at: 7, oldest: 3 } });
  expect(third.gather()).toHaveLength(20 * 5);
  expect(pulls).toEqual([]);
});

test("pull() without an age asks for all rows", async () => {
  const { rows, pulls } = nodes();
  for (const options of [{ age: { at: 5, oldest: 1 } }, {}]) {
    pulls.length = 0;
    (await rows.pull(batchOf({ keys: KEYS }), options)).gather();
    expect(pulls.flatMap(({ keys }) => keys)).toHaveLength(40);
  }
});
