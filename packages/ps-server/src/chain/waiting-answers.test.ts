/** What waits for nodes behind that do not answer is bounded, and gives back what it holds. */
import { afterEach, expect, it } from "vitest";
import { TableMemory } from "@volary/core/table";
import { TestChains } from "../testing/test-chains.ts";

let t: TestChains;

afterEach(() => t.dispose());

it("more requests than may wait are refused, for a while", () => {
  t = new TestChains({ chains: [[1, 2]], bounds: { waitingAnswersMax: 10 } });
  for (let i = 1; i <= 30; i++) {
    t.push(1, { 0: { 5: 1 } }, { sequence: i });
    t.pull(1, { 0: [5] });
  }
  expect(t.at(1).waitingAcks).toBe(10);
  const refused = t.answers();
  expect(refused).toHaveLength(50);
  expect(new Set(refused.map((said) => said.replace(/#.*/, "")))).toEqual(new Set(["1: error PARTITION_UNAVAILABLE "]));
  t.pump();
  expect(t.at(1).waitingAcks).toBe(0);
  t.answers();
  t.push(1, { 0: { 5: 1 } }, { sequence: 6 });
  t.pump();
  expect(t.answers()).toEqual([expect.stringMatching(/pushDirectReply/)]);
});

it("more bytes than may wait are refused, for a while", () => {
  t = new TestChains({ chains: [[1, 2]], bounds: { waitingBytesMax: 1000 } });
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, key) => [key, 1]));
  for (let i = 1; i <= 10; i++) t.push(1, { 0: many }, { sequence: i });
  expect(t.at(1).waitingAcks).toBeLessThan(5);
  t.pump();
  t.answers();
  t.pull(1, { 0: [5] });
  t.pump();
  expect(t.answers()).toEqual([expect.stringMatching(/pullReply/)]);
});

it("an answer that waits keeps no buffer, of which there are few", () => {
  const chains = Array.from({ length: 16 }, () => [1, 2]);
  const memories = { 1: new TableMemory({ arenaBytes: 2 ** 22 }) };
  t = new TestChains({ chains, memories, bounds: { replyPartBytes: 4 } });
  const all = Object.fromEntries(chains.map((_, partition) => [partition, [5]]));
  const before = memories[1].bytesUsed;
  for (let pulls = 0; pulls < 20; pulls++) t.pull(1, all);
  expect(t.answers()).toEqual([]);
  expect(memories[1].bytesUsed - before).toBeLessThan(2 ** 21);
  t.pump();
  expect(t.answers()).toHaveLength(20 * chains.length); // each part is one
});
