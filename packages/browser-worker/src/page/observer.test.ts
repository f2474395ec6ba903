import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { SimulatedClock } from "@volary/core/testing";
import { frame, type Control, type Hello, type JobStatus, type Link, type LinkEvents } from "@volary/core/wire";
import { expect, test } from "vitest";
import { Observer, type ObserverState } from "./observer.ts";

test("dials with the session and shows what it is told, and says nothing but that it is there", async () => {
  const t = await bench();
  expect(t.dialed).toEqual([{ role: "leaf", name: "observer 3", session: "secret" }]);
  expect(t.state).toMatchObject({ activity: "connecting", job: undefined });
  t.links[0]!.hear(news(2, [1, 2]));
  expect(t.state).toMatchObject({
    activity: "watching",
    job: { step: 2 },
    loss: { steps: [1, 2], values: [0.5, 0.5] },
  });
  t.links[0]!.hear({ type: "heartbeat" });
  t.links[0]!.hear(news(3, [3]));
  expect(t.state.loss.steps).toEqual([1, 2, 3]);
  expect(t.links[0]!.sent).toEqual([{ type: "heartbeat" }]);
});

test("a lost link is dialled after waits that double, at once where news came, and no step is shown twice", async () => {
  const t = await bench();
  for (const waitMs of [500, 1_000]) {
    const { length } = t.links;
    t.links.at(-1)!.lose();
    await t.clock.advance(waitMs - 1);
    expect(t.links).toHaveLength(length);
    await t.clock.advance(1);
    expect(t.links).toHaveLength(length + 1);
  }
  t.links.at(-1)!.hear(news(1, [1]));
  t.links.at(-1)!.lose();
  expect(t.state.activity).toBe("watching");
  await t.clock.advance(0);
  expect(t.links).toHaveLength(4);
  expect(t.state).toMatchObject({ activity: "connecting", job: { step: 1 } });
  t.links.at(-1)!.hear(news(2, [1, 2]));
  expect(t.state.loss.steps).toEqual([1, 2]);
});

test("does not wait once the network is back", async () => {
  const t = await bench();
  t.links[0]!.lose();
  await t.clock.advance(1);
  t.observer.hurry();
  await t.clock.advance(0);
  expect(t.links).toHaveLength(2);
});

test("a gateway that is silent for too long is dialled again", async () => {
  const t = await bench();
  await t.clock.advance(LIMITS.gatewaySilentMs - 1);
  t.links[0]!.hear({ type: "heartbeat" });
  await t.clock.advance(LIMITS.gatewaySilentMs - 1);
  expect(t.links[0]!.isClosed).toBe(false);
  await t.clock.advance(1);
  expect(t.links[0]!.isClosed).toBe(true);
  await t.clock.advance(500);
  expect(t.links).toHaveLength(2);
});

test("ends with the reason of a gateway that lets it not return, and dials again where it may", async () => {
  const t = await bench();
  t.links[0]!.hear({ type: "leaf-end", code: "TIMEOUT", message: "silent", mayReturn: true });
  await t.clock.advance(500);
  expect(t.links).toHaveLength(2);
  t.links[1]!.hear({ type: "leaf-end", code: "SESSION_ENDED", message: "the job is done", mayReturn: false });
  await t.running;
  expect(t.state).toMatchObject({ activity: "ended", ended: { code: "SESSION_ENDED", reason: "the job is done" } });
});

test("dials for ever where nothing answers, and ends where it is refused", async () => {
  const t = await bench(new ClusterError("COORDINATOR_UNAVAILABLE", "nothing there"));
  await t.clock.advance(600_000);
  expect(t.dialed.length).toBeGreaterThan(40);
  expect(t.state).toMatchObject({ activity: "connecting", ended: undefined });
  t.failDial(new ClusterError("SESSION_ENDED", "it is over"));
  await t.clock.advance(20_000);
  await t.running;
  expect(t.state).toMatchObject({ activity: "ended", ended: { code: "SESSION_ENDED", reason: "it is over" } });
});

test("takes no task, and no frame", async () => {
  const { links } = await bench();
  const task: Control = { type: "leaf-task", task: 1, step: 1, samples: 1, globalSamples: 1, weighted: false };
  expect(() => links[0]!.hear(task)).toThrow(ProtocolError);
  expect(() => links[0]!.events!.onFrame(frame({ opcode: "leafDense" }))).toThrow(ProtocolError);
});

class FakeLink implements Link {
  readonly name = "gateway";
  readonly sent: Control[] = [];
  events: LinkEvents | undefined;
  isClosed = false;
  sendControl(control: Control): void {
    this.sent.push(control);
  }
  sendFrame(): void {
    throw new Error("an observer sends no frames");
  }
  close(reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.events!.onClose(reason);
  }
  listen(events: LinkEvents): void {
    this.events = events;
  }
  hear(control: Control): void {
    this.events!.onControl(control);
  }
  lose(): void {
    this.close("the network is gone");
  }
}

async function bench(refusal?: ClusterError) {
  const clock = new SimulatedClock();
  const dialed: Hello[] = [];
  const links: FakeLink[] = [];
  const states: ObserverState[] = [];
  let dialError = refusal;
  const observer = new Observer({
    gateway: "ws://gateway/leaf",
    session: "secret",
    name: "observer 3",
    dialer: {
      dial: async (_, hello) => {
        dialed.push(hello);
        if (dialError) throw dialError;
        links.push(new FakeLink());
        return links.at(-1)!;
      },
    },
    clock,
    random: () => 0.5,
    onState: (state) => states.push(state),
  });
  const running = observer.run();
  await clock.advance(0);
  return {
    observer,
    running,
    clock,
    dialed,
    links,
    get state() {
      return states.at(-1)!;
    },
    failDial: (error: ClusterError) => (dialError = error),
  };
}

/** The job at `step`, with the news of some steps. */
function news(step: number, of: readonly number[]): Control {
  const steps = of.map((each) => ({ step: each, loss: 0.5, samples: 64 }));
  const status = { step, steps: 100, loss: 0.5, phase: "training", news: { steps, epochs: [], validations: [] } };
  return { type: "job-status", status: status as unknown as JobStatus };
}
