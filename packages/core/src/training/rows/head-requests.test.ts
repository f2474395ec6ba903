import { expect, test } from "vitest";
import { Requests } from "../../client/index.ts";
import { LIMITS } from "../../limits.ts";
import { SimulatedClock } from "../../testing/index.ts";
import { frame, type Frame, type Link } from "../../wire/index.ts";
import { HeadRequests } from "./head-requests.ts";
import { batchOf, manifestOf, mapOf } from "./test-batches.ts";
import { RowPlanner } from "./step-rows.ts";

/** A node that answers after so long, and what it was asked. */
function slowNode(answerMs: number) {
  const clock = new SimulatedClock();
  const map = mapOf({ nodes: 1 });
  const requests = new Requests();
  const asked: Frame[] = [];
  const sendFrame = (f: Frame): void => {
    asked.push(f);
    const reply = frame({ opcode: "pushDirectReply", requestId: f.requestId });
    clock.after(answerMs, () => void requests.takeFrame(reply));
  };
  const link: Link = { name: "ps-1", listen: () => {}, close: () => {}, sendControl: () => {}, sendFrame };
  const links = { map, onMap: () => () => {}, get: () => link, requestMap: () => {} };
  const rows = new RowPlanner({ manifest: manifestOf({}), map }).rowsOf(batchOf({ keys: [[1, 2]] }));
  const answered = new HeadRequests({ links, requests, clock }).ask({
    rowsBy: () => rows,
    frameOf: () => frame({ opcode: "pushDirect", job: 1 }),
  });
  return { clock, asked, answered };
}

test("what takes a node long, as a large push over a slow link, is waited for longer each time", async () => {
  const { clock, asked, answered } = slowNode(3 * LIMITS.resendEveryMs);
  let isAnswered = false;
  void answered.then(() => (isAnswered = true));
  await clock.advance(LIMITS.tableRetryMs);
  expect(isAnswered).toBe(true);
  expect(asked).toHaveLength(3);
});

test("a node that never answers is given up, with what to look at", async () => {
  const { clock, answered } = slowNode(Infinity);
  const failure = expect(answered).rejects.toMatchObject({ code: "TIMEOUT" });
  await clock.advance(3 * LIMITS.tableRetryMs);
  await failure;
});
