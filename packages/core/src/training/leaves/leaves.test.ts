import { expect, test } from "vitest";
import { LIMITS } from "../../limits.ts";
import { SimulatedClock } from "../../testing/index.ts";
import type { Control, Link, LinkEvents } from "../../wire/index.ts";
import { Leaves } from "./leaves.ts";

test("what a volunteer says of itself commands no terminal, in the log or in a status", async () => {
  const clock = new SimulatedClock();
  const told: Control[] = [];
  const lines: string[] = [];
  const leaves = new Leaves({
    job: 1,
    leavesMax: 1,
    forms: { rows: "float32", gradients: "float32", dense: "float32" },
    floats: { rows: [{ places: 1, width: 1 }], dense: 1 },
    clock,
    stepMs: () => 1,
    tell: (control) => told.push(control),
    log: (line) => lines.push(line),
  });
  let events: LinkEvents | undefined;
  const link: Link = {
    name: "tab",
    listen: (to) => (events = to),
    sendControl: () => {},
    sendFrame: () => {},
    close: () => {},
  };
  leaves.accept({ volunteer: 1, name: "a\u001B[2Jb\nc", link });
  events!.onControl({ type: "leaf-join", device: "GPU\u001B]0;d\u0007", samples: 1, computeMs: 1 });
  events!.onControl({ type: "leaf-ready" });
  await clock.advance(LIMITS.leavesEveryMs);
  const leaf = { name: "a\uFFFD[2Jb\uFFFDc", device: "GPU\uFFFD]0;d\uFFFD" };
  expect(told).toMatchObject([{ type: "leaves", leaves: [leaf] }]);
  leaves.refuse(leaves.ready[0]!, 1, { code: "UPDATE_DIFFERS", message: "it differs" });
  expect(lines).toEqual([`volunteer 1 (${leaf.name}) is expelled: it differs`]);
  leaves.close("over");
});
