/** A table client and a PS node over a network that breaks: every direct push counts once. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { PlainTable, Requests, TableClient } from "@volary/core/client";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { OptimizerSpec } from "@volary/core/optimizer";
import type { PartitionMap } from "@volary/core/partition";
import { TableMemory, type TableSpec } from "@volary/core/table";
import { lend, SimulatedClock } from "@volary/core/testing";
import { decodeFrame, encodeFrame, type Frame, type Link } from "@volary/core/wire";
import type { PsEffect } from "./effects.ts";
import { PsNode } from "./ps-node.ts";
import { fixedLinks } from "./testing/fixed-links.ts";

const MAP: PartitionMap = {
  version: 1,
  heads: 1,
  partitionsLog2: 2,
  function: { kind: "hash" },
  nodes: [1, 2].map((node) => ({ node, name: `ps-${node}`, address: `sim://ps-${node}` })),
  entries: [1, 2, 1, 2].map((node) => ({ generation: 1, headSince: 1, chain: [node] })),
};

/** What becomes of a request: its link may break before it arrives, or before its answer does. */
type Fate = "served" | "lost" | "answer lost";

const MEMORY = new TableMemory();

/** Two PS nodes, and a client whose links break as `fates` say, then no more. */
function cluster({ optimizer, dim = 1, fates = [] }: { optimizer: OptimizerSpec; dim?: number; fates?: Fate[] }) {
  const spec: TableSpec = { id: 1, name: "t", dim, initializer: { kind: "zeros" }, optimizer };
  const clock = new SimulatedClock();
  const nodes = new Map([1, 2].map((node) => [node, new PsNode({ node, memory: MEMORY })]));
  for (const node of nodes.values()) {
    node.handleControl(0, { type: "map", map: MAP }, []);
    node.handleControl(0, { type: "open-job", job: 1, seed: 1, consistency: { mode: "bsp" }, tables: [spec] }, []);
  }
  const left = [...fates];
  const requests = new Requests();
  const serve = (node: number, link: Link, f: Frame): void => {
    const fate = left.shift() ?? "served";
    const effects: PsEffect[] = [];
    if (fate !== "lost") lend(f, (borrowed) => nodes.get(node)!.handleFrame(1, borrowed, effects));
    if (fate !== "served") {
      links.delete(node);
      queueMicrotask(() => requests.failLink(link, "it broke"));
      return;
    }
    for (const effect of effects) {
      if (effect.kind === "frame") {
        const sent = decodeFrame(encodeFrame(effect.frame).slice());
        effect.onSent?.();
        queueMicrotask(() => requests.takeFrame(sent));
      } else if (effect.kind === "control" && effect.control.type === "error") {
        const { control } = effect;
        queueMicrotask(() => requests.takeError(control));
      }
    }
  };
  const links = new Map<number, Link>();
  const linkOf = (node: number): Link => {
    let link = links.get(node);
    if (!link) {
      link = { name: `ps-${node}`, sendControl() {}, close() {}, listen() {}, sendFrame: (f) => serve(node, link!, f) };
      links.set(node, link);
    }
    return link;
  };
  let seed = 0;
  const client = (): PlainTable =>
    new PlainTable({
      spec,
      client: new TableClient({
        job: 1,
        links: fixedLinks({ map: MAP, link: linkOf }),
        requests,
        clock,
        random: () => ++seed / 100,
      }),
    });
  const until = <T>(promise: Promise<T>): Promise<T> => clock.until(promise);
  return { client, until, nodes };
}

test("a push that is not finite is refused with its key, and nothing is sent", async () => {
  const { client, nodes } = cluster({ optimizer: { kind: "sum" } });
  await expect(client().push([4, 9], [1, NaN])).rejects.toThrow(
    'NaN for key 9 of table "t", component 0: gradients must be finite',
  );
  await expect(client().push([4, 9], [1])).rejects.toThrow('2 keys of table "t" need 2 gradients, 1 each; got 1');
  await expect(client().push([4])).rejects.toThrow('push to table "t": give gradients, 1 for each key');
  expect([...nodes.values()].map((node) => node.counters.directPushes)).toEqual([0, 0]);
});

test("a push that no node answers is given up with a code, and is not applied later", async () => {
  const fates = Array.from({ length: 200 }, (): Fate => "lost");
  const { client, until } = cluster({ optimizer: { kind: "sum" }, fates });
  const failed = await until(client().push([1], [1])).catch((error: unknown) => error);
  expect(failed).toBeInstanceOf(ClusterError);
  expect(failed).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
});

test("every push counts once, wherever links break, and a bad one not at all", async () => {
  const fate = fc.constantFrom<Fate>("served", "served", "lost", "answer lost");
  const pushes = fc.array(fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 6 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(pushes, fc.array(fate, { maxLength: 12 }), async (batches, fates) => {
      const { client, until } = cluster({ optimizer: { kind: "sum" }, fates });
      const clients = [client(), client()];
      const sums = new Map<number, number>();
      await until(
        Promise.all(
          batches.map((keys, i) => {
            for (const key of keys) sums.set(key, (sums.get(key) ?? 0) + key + 1);
            return clients[i % 2]!.push(
              keys,
              keys.map((key) => key + 1),
            );
          }),
        ),
      );
      const keys = [...sums.keys()];
      expect([...(await until(clients[0]!.pull(keys)))]).toEqual(keys.map((key) => sums.get(key)));
    }),
    { numRuns: 60 },
  );
});

test("keys may repeat: sums add, counts count, maxima and sets keep the largest and the last", async () => {
  const result = async (kind: "sum" | "count" | "max" | "set", gradients: readonly number[] | undefined) => {
    const { client, until } = cluster({ optimizer: { kind }, dim: 2 });
    const table = client();
    await until(table.push([7n, 8n, 7n], gradients));
    return [...(await until(table.pull([8, 7, 8])))];
  };
  const gradients = [5, -1, 1, 1, 2, 3];
  expect(await result("sum", gradients)).toEqual([1, 1, 7, 2, 1, 1]);
  expect(await result("max", gradients)).toEqual([1, 1, 5, 3, 1, 1]);
  expect(await result("set", gradients)).toEqual([1, 1, 2, 3, 1, 1]);
  expect(await result("count", undefined)).toEqual([1, 1, 2, 2, 1, 1]);
});

test("rows are set, read back and exported, and a read makes none", async () => {
  const { client, until } = cluster({ optimizer: { kind: "sgd", learningRate: 0.5 }, dim: 2 });
  const table = client();
  await until(table.set(BigInt64Array.of(-1n, 3n, -1n), [9, 9, 1, 2, 3, 4]));
  await until(table.push([3], [2, 4]));
  expect([...(await until(table.get([2n ** 64n - 1n, 3, 100])))]).toEqual([3, 4, 0, 0, 0, 0]);
  const exported = new Map<bigint, number[]>();
  const exportAll = async (): Promise<void> => {
    for await (const { keys, values } of table.export())
      keys.forEach((key, i) => exported.set(key, [...values.subarray(2 * i, 2 * i + 2)]));
  };
  await until(exportAll());
  expect(exported).toEqual(
    new Map([
      [2n ** 64n - 1n, [3, 4]],
      [3n, [0, 0]],
    ]),
  );
});

test("a push of more floats than a request may carry goes in several, each counted once", async () => {
  const dim = LIMITS.dimMax;
  const keys = Array.from({ length: Math.ceil((3 * LIMITS.requestFloatsMax) / dim) }, (_, i) => i);
  const { client, until, nodes } = cluster({ optimizer: { kind: "sum" }, dim, fates: ["answer lost", "lost"] });
  const table = client();
  await until(table.push(keys, new Float32Array(keys.length * dim).fill(2)));
  expect((await until(table.pull(keys))).every((value) => value === 2)).toBe(true);
  expect([...nodes.values()].reduce((pushes, node) => pushes + node.counters.directPushes, 0)).toBeGreaterThan(2);
});
