import type { JobManifest } from "@volary/core/job";
import type { JobStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import type { PageMessage, WorkerMessage } from "../worker/messages.ts";
import { Volunteer, type LeafWorker } from "./volunteer.ts";

test("counts what its Web Worker tells, over a stop and another start", () => {
  const { volunteer, workers } = visit();
  expect(volunteer.state.activity).toBe("idle");
  volunteer.setShare(0.5);
  volunteer.start();
  expect(workers[0]!.posted).toMatchObject([{ type: "start", session: "secret", share: 0.5, pause: undefined }]);
  workers[0]!.tell({ type: "device", device: "webgl", description: "a GPU", samples: 256, computeMs: 5 });
  workers[0]!.tell({ type: "connected" });
  expect(volunteer.state).toMatchObject({ activity: "waiting", device: { name: "webgl", description: "a GPU" } });
  workers[0]!.tell({ type: "status", status: status({ step: 10, samples: 1_000 }), traffic: traffic(100) });
  workers[0]!.tell({ type: "task", samples: 30 });
  workers[0]!.tell({ type: "computed", samples: 30, computeMs: 7, traffic: traffic(200) });
  workers[0]!.tell({ type: "accepted", samples: 30, stepSamples: 60 });
  workers[0]!.tell({ type: "status", status: status({ step: 11, samples: 1_120 }), traffic: traffic(300) });
  expect(volunteer.state).toMatchObject({
    activity: "working",
    steps: 1,
    samples: 30,
    share: 0.25,
    computeMs: 7,
    traffic: { sent: 300, received: 600 },
    loss: { steps: [10, 11], values: [0.5, 0.5] },
  });

  volunteer.stop();
  volunteer.start();
  workers[1]!.tell({ type: "computed", samples: 5, computeMs: 3, traffic: traffic(10) });
  workers[1]!.tell({ type: "accepted", samples: 5, stepSamples: 60 });
  expect(volunteer.state).toMatchObject({ steps: 2, samples: 35, computeMs: 10, traffic: { sent: 310 } });
});

test("Stop tells the Web Worker to end, ends it if it does not, and hears no more of it", () => {
  const { volunteer, workers, timers } = visit();
  volunteer.start();
  workers[0]!.tell({ type: "connected" });
  volunteer.stop();
  expect(volunteer.state.activity).toBe("idle");
  expect(workers[0]!.posted.at(-1)).toEqual({ type: "stop" });
  workers[0]!.tell({ type: "accepted", samples: 5, stepSamples: 5 });
  expect(volunteer.state.samples).toBe(0);
  expect(workers[0]!.isTerminated).toBe(false);
  expect(timers).toMatchObject([{ delayMs: 300 }]);
  timers[0]!.run();
  expect(workers[0]!.isTerminated).toBe(true);
});

test("a Web Worker that says its last word after Stop is ended at once", () => {
  const { volunteer, workers } = visit();
  volunteer.start();
  volunteer.stop();
  workers[0]!.tell(ended({ code: "STOPPED" }));
  expect(workers[0]!.isTerminated).toBe(true);
  expect(volunteer.state).toMatchObject({ activity: "idle", ended: undefined });
});

test("a pause and a share reach the Web Worker that runs, and the one that comes", () => {
  const { volunteer, workers } = visit();
  volunteer.setPause("battery");
  volunteer.start();
  expect(workers[0]!.posted).toMatchObject([{ type: "start", pause: "battery" }]);
  volunteer.setPause("battery");
  volunteer.setPause(undefined);
  volunteer.setShare(0.2);
  volunteer.hurry();
  expect(workers[0]!.posted.slice(1)).toEqual([
    { type: "pause", reason: undefined },
    { type: "share", share: 0.2 },
    { type: "hurry" },
  ]);
});

test("a lost device is opened again by another Web Worker, at last without it, and then no more", () => {
  const { volunteer, workers } = visit();
  volunteer.start();
  for (let losses = 0; losses < 6; losses++) {
    const worker = workers[losses]!;
    worker.tell({
      type: "device",
      device: losses < 2 ? "webgpu" : "webgl",
      description: "",
      samples: 256,
      computeMs: 5,
    });
    worker.tell(ended({ code: "DEVICE_LOST", fresh: true, mayReturn: true }));
    expect(worker.isTerminated).toBe(true);
  }
  const without = workers.map(({ posted }) => (posted[0] as PageMessage & { type: "start" }).without);
  expect(without).toEqual([[], [], ["webgpu"], ["webgpu"], ["webgpu", "webgl"], ["webgpu", "webgl"]]);
  expect(volunteer.state).toMatchObject({ activity: "ended", ended: { code: "DEVICE_LOST" } });
});

test("what ends for good is told, and so is a Web Worker that fails", () => {
  const { volunteer, workers } = visit();
  volunteer.start();
  workers[0]!.tell(ended({ code: "UPDATE_DIFFERS", reason: "it was computed again" }));
  expect(volunteer.state).toMatchObject({
    activity: "ended",
    ended: { code: "UPDATE_DIFFERS", reason: "it was computed again" },
  });
  volunteer.start();
  expect(volunteer.state.ended).toBeUndefined();
  workers[1]!.onerror!({ message: "no such file" });
  expect(volunteer.state).toMatchObject({ activity: "ended", ended: { code: "NO_DEVICE", reason: "no such file" } });
  expect(workers[1]!.isTerminated).toBe(true);
});

test("listeners hear of every change until they leave", () => {
  const { volunteer } = visit();
  let heard = 0;
  const leave = volunteer.subscribe(() => heard++);
  volunteer.setPause("asked");
  expect(heard).toBe(1);
  leave();
  volunteer.setPause(undefined);
  expect(heard).toBe(1);
});

test("data channels are opened only where the person allows them, and closed when that ends", () => {
  const { volunteer, workers, channels } = visit();
  volunteer.start();
  volunteer.setMayConnect(false);
  expect(workers).toHaveLength(1);
  expect(workers[0]!.posted).toMatchObject([{ type: "start", group: undefined }]);
  volunteer.setMayConnect(true);
  expect(workers[0]!.posted.at(-1)).toEqual({ type: "stop" });
  expect(workers[1]!.posted).toMatchObject([{ type: "start", group: { job: 1, volunteer: 3, port: PORT } }]);
  expect(channels).toEqual(["open"]);
  volunteer.setMayConnect(false);
  expect(channels).toEqual(["open", "close"]);
  expect(workers[2]!.posted).toMatchObject([{ type: "start", group: undefined }]);
});

const PORT = {} as MessagePort;

class FakeWorker implements LeafWorker {
  readonly posted: PageMessage[] = [];
  isTerminated = false;
  onmessage: LeafWorker["onmessage"] = null;
  onerror: LeafWorker["onerror"] = null;
  postMessage(message: PageMessage): void {
    this.posted.push(message);
  }
  terminate(): void {
    this.isTerminated = true;
  }
  tell(data: WorkerMessage): void {
    this.onmessage!({ data });
  }
}

function visit() {
  const workers: FakeWorker[] = [];
  const channels: string[] = [];
  const timers: { delayMs: number; run: () => void }[] = [];
  const volunteer = new Volunteer({
    createWorker: () => {
      const worker = new FakeWorker();
      workers.push(worker);
      return worker;
    },
    gateway: "ws://gateway/leaf",
    session: "secret",
    volunteer: 3,
    job: 1,
    name: "volunteer 3",
    manifest: {} as JobManifest,
    openChannels: () => {
      channels.push("open");
      return { port: PORT, close: () => channels.push("close") };
    },
    after: (delayMs, run) => {
      timers.push({ delayMs, run });
      return () => {};
    },
    log: () => {},
  });
  return { volunteer, workers, timers, channels };
}

const traffic = (sent: number) => ({ sent, received: 2 * sent });

const ended = (end: { code: string; reason?: string; fresh?: boolean; mayReturn?: boolean }): WorkerMessage => ({
  type: "ended",
  reason: "",
  fresh: false,
  mayReturn: false,
  ...end,
});

const status = ({ step, samples }: { step: number; samples: number }) =>
  ({ step, samples, steps: 100, loss: 0.5, phase: "training" }) as JobStatus;
