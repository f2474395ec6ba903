import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { SimulatedClock } from "@volary/core/testing";
import type { GradientModel, LeafEnd, LeafSession, LeafSessionOptions } from "@volary/core/training";
import type { Hello, Link } from "@volary/core/wire";
import { expect, test } from "vitest";
import type { OpenDevice } from "../device/device.ts";
import { Leaf } from "./leaf.ts";
import type { PageMessage, WorkerMessage } from "./messages.ts";

const RETURN: LeafEnd = { code: "NO_REDUCER", reason: "it left", mayReturn: true };

test("dials with the session, tells of its device, and passes on what comes of tasks", async () => {
  const t = await bench();
  expect(t.dialed).toEqual([{ role: "leaf", name: "volunteer 1", session: "secret" }]);
  const { o } = t.sessions[0]!;
  expect(o).toMatchObject({ device: "webgl (a GPU)", probe: { samples: 256, computeMs: 5 } });
  expect(o.share()).toBe(0.5);
  t.leaf.share(0.1);
  expect(o.share()).toBe(0.1);
  t.traffic.sent = 7;
  o.events!.onTask!({ task: 1, step: 1, samples: 30 });
  o.events!.onComputed!({ task: 1, samples: 30, computeMs: 4, loss: 0.5 });
  o.events!.onAccepted!({ task: 1, step: 1, samples: 30, stepSamples: 60 });
  o.events!.onRefused!({ task: 2, code: "UPDATE_LATE", message: "late" });
  expect(t.told).toEqual([
    { type: "device", device: "webgl", description: "a GPU", samples: 256, computeMs: 5 },
    { type: "connecting" },
    { type: "connected" },
    { type: "task", samples: 30 },
    { type: "computed", samples: 30, computeMs: 4, traffic: { sent: 7, received: 0 } },
    { type: "accepted", samples: 30, stepSamples: 60 },
    { type: "refused", code: "UPDATE_LATE", message: "late" },
  ]);
});

test("comes back after waits that double, and soon again once an update counted", async () => {
  const t = await bench();
  for (const waitMs of [500, 1_000, 2_000]) {
    const { length } = t.sessions;
    t.sessions.at(-1)!.end(RETURN);
    await t.clock.advance(waitMs - 1);
    expect(t.sessions).toHaveLength(length);
    await t.clock.advance(1);
    expect(t.sessions).toHaveLength(length + 1);
  }
  t.sessions.at(-1)!.o.events!.onAccepted!({ task: 1, step: 1, samples: 1, stepSamples: 1 });
  t.sessions.at(-1)!.end(RETURN);
  await t.clock.advance(0);
  expect(t.sessions).toHaveLength(5);
});

test("does not wait once the network is back", async () => {
  const t = await bench();
  t.sessions[0]!.end(RETURN);
  await t.clock.advance(1);
  t.leaf.hurry();
  await t.clock.advance(0);
  expect(t.sessions).toHaveLength(2);
});

test("dials for ever where nothing answers, and ends where it is refused", async () => {
  const t = await bench();
  t.failDial(new ClusterError("COORDINATOR_UNAVAILABLE", "nothing there"));
  t.sessions[0]!.end(RETURN);
  await t.clock.advance(600_000);
  expect(t.dialed.length).toBeGreaterThan(40);
  t.failDial(new ClusterError("SESSION_ENDED", "it is over"));
  await t.clock.advance(20_000);
  await t.running;
  expect(t.told.at(-1)).toMatchObject({ type: "ended", code: "SESSION_ENDED", mayReturn: false, fresh: false });
});

test("ends with the reason of a session that may not return", async () => {
  const t = await bench();
  t.sessions[0]!.end({ code: "UPDATE_DIFFERS", reason: "it was computed again", mayReturn: false });
  await t.running;
  expect(t.told.at(-1)).toEqual({
    type: "ended",
    code: "UPDATE_DIFFERS",
    reason: "it was computed again",
    mayReturn: false,
    fresh: false,
  });
  expect(t.isDisposed()).toBe(true);
});

test.each<[string, (t: Bench) => void]>([
  ["is lost", (t) => t.loseDevice("the context was lost")],
  ["fails", (t) => t.sessions[0]!.end({ code: "DEVICE_FAILED", reason: "the context was lost", mayReturn: true })],
])("ends where its device %s, for another Web Worker to go on", async (_, fail) => {
  const t = await bench();
  fail(t);
  await t.running;
  expect(t.told.at(-1)).toMatchObject({ type: "ended", reason: "the context was lost", fresh: true });
  expect(t.isDisposed()).toBe(true);
  expect(t.dialed).toHaveLength(1);
});

test("stops between sessions and within one", async () => {
  const within = await bench();
  within.leaf.stop();
  await within.running;
  expect(within.sessions[0]!.calls).toEqual(["stop"]);
  expect(within.told.at(-1)).toMatchObject({ type: "ended", code: "STOPPED", fresh: false });

  const between = await bench();
  between.sessions[0]!.end(RETURN);
  await between.clock.advance(1);
  between.leaf.stop();
  await between.running;
  expect(between.sessions).toHaveLength(1);
});

test("a pause holds over sessions", async () => {
  const t = await bench({ pause: "hidden" });
  expect(t.sessions[0]!.calls).toEqual(["pause hidden"]);
  t.leaf.pause(undefined);
  t.leaf.pause("battery");
  expect(t.sessions[0]!.calls).toEqual(["pause hidden", "resume", "pause battery"]);
  t.sessions[0]!.end(RETURN);
  await t.clock.advance(500);
  expect(t.sessions[1]!.calls).toEqual(["pause battery"]);
});

test("ends where no device computes", async () => {
  const t = await bench({}, () => Promise.reject(new Error("no WebGL here")));
  await t.running;
  expect(t.told).toEqual([
    { type: "ended", code: "NO_DEVICE", reason: "no WebGL here", mayReturn: false, fresh: false },
  ]);
});

interface FakeSession extends LeafSession {
  readonly o: LeafSessionOptions;
  readonly calls: string[];
  end(end: LeafEnd): void;
}
type Bench = Awaited<ReturnType<typeof bench>>;

async function bench(start: Partial<PageMessage & { type: "start" }> = {}, refuse?: () => Promise<never>) {
  const clock = new SimulatedClock();
  const traffic = { sent: 0, received: 0 };
  const told: WorkerMessage[] = [];
  const dialed: Hello[] = [];
  const sessions: FakeSession[] = [];
  let disposed = false;
  let dialError: Error | undefined;
  let loseDevice: (reason: string) => void;
  let lost: string | undefined;
  const whenLost = new Promise<string>((resolve) => (loseDevice = (reason) => resolve((lost = reason))));
  const device: OpenDevice = { name: "webgl", description: "a GPU", lost: () => lost, whenLost };
  const leaf = new Leaf({
    start: {
      type: "start",
      gateway: "ws://gateway/leaf",
      session: "secret",
      name: "volunteer 1",
      manifest: {} as JobManifest,
      share: 0.5,
      ...start,
    },
    clock,
    random: () => 0.5,
    dialer: {
      dial: async (_, hello) => {
        dialed.push(hello);
        if (dialError) throw dialError;
        return { close: () => {} } as unknown as Link;
      },
    },
    traffic,
    chooseDevice: refuse ?? (async () => ({ device, samples: 256, computeMs: 5 })),
    openModel: async () => ({ denseFloats: 0, dispose: () => (disposed = true) }) as unknown as GradientModel,
    openSession: (o) => {
      const calls: string[] = [];
      let end: (end: LeafEnd) => void;
      const session: FakeSession = {
        o,
        calls,
        closed: new Promise((resolve) => (end = resolve)),
        pause: (reason) => calls.push(`pause ${reason}`),
        resume: () => calls.push("resume"),
        stop: () => {
          calls.push("stop");
          end({ code: "JOB_STOPPED", reason: "stopped here", mayReturn: true });
        },
        end: (why) => end(why),
      };
      sessions.push(session);
      return session;
    },
    tell: (message) => told.push(message),
  });
  const running = leaf.run();
  await clock.advance(0);
  return {
    leaf,
    running,
    clock,
    traffic,
    told,
    dialed,
    sessions,
    isDisposed: () => disposed,
    failDial: (error: Error) => (dialError = error),
    loseDevice: (reason: string) => loseDevice(reason),
  };
}
