/** The simulated network: it is a transport like the others, its faults are what they say, one seed is one history. */
import { describe, expect, it, test } from "vitest";
import { frame, type Control, type Link } from "../wire/index.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { SimulatedNetwork, type SimulatedHost } from "./simulated-network.ts";
import { transportContract } from "./transport.contract.ts";

transportContract("the simulated network", async () => {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 1 });
  const client = network.host("client");
  const server = network.host("server");
  const faults: unknown[] = [];
  const until = async <T>(done: Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await clock.until(done);
      } catch (error) {
        if (!(error instanceof Error) || !/bug|fails/.test(error.message)) throw error;
        faults.push(error);
      }
    }
  };
  return {
    clock,
    dialer: client.dialer,
    connect: (address) => client.connect(address),
    listen: async (o) => {
      const { address, close } = server.listen({
        name: "server",
        onLink: o.onLink,
        ...(o.refuse ? { refuse: o.refuse } : {}),
      });
      return { address, close: async () => close() };
    },
    until,
    faults,
    stop: async () => {},
  };
});

async function connected(seed: number): Promise<{
  clock: SimulatedClock;
  network: SimulatedNetwork;
  a: SimulatedHost;
  b: SimulatedHost;
  atB: Link;
  atA: Link;
}> {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed });
  const a = network.host("a");
  const b = network.host("b");
  let atB: Link | undefined;
  const { address } = b.listen({ name: "b", onLink: (link) => (atB = link) });
  const atA = await clock.until(a.dialer.dial(address, { role: "worker", name: "a" }));
  return { clock, network, a, b, atA, atB: atB! };
}

interface Heard {
  jobs: number[];
  times: number[];
  closed: string | undefined;
}

function listen(link: Link, clock: SimulatedClock): Heard {
  const heard: Heard = { jobs: [], times: [], closed: undefined };
  link.listen({
    onControl: (control: Control) => {
      heard.jobs.push(control.type === "close-job" ? control.job : -1);
      heard.times.push(clock.now());
    },
    onFrame: () => {},
    onClose: (reason) => (heard.closed = reason),
  });
  return heard;
}

function sendJobs(link: Link, from: number, to: number): void {
  for (let job = from; job < to; job++) link.sendControl({ type: "close-job", job });
}

describe("a simulated connection", () => {
  it("delays each message and keeps their order", async () => {
    const { clock, atA, atB } = await connected(1);
    const heard = listen(atB, clock);
    const sentAt = clock.now();
    sendJobs(atA, 0, 100);
    expect(heard.jobs).toEqual([]);
    await clock.advance(10);
    expect(heard.jobs).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(heard.times[0]).toBeGreaterThan(sentAt);
  });

  it("repeats a history from its seed, and another seed gives another", async () => {
    const history = async (seed: number) => {
      const { clock, network, atA, atB } = await connected(seed);
      const heard = listen(atB, clock);
      sendJobs(atA, 0, 50);
      network.cut({ between: ["a", "b"] });
      await clock.advance(1000);
      return [heard.jobs, heard.times, clock.now(), network.counters];
    };
    expect(await history(5)).toEqual(await history(5));
    expect(await history(5)).not.toEqual(await history(6));
  });

  it("that is held delivers late, in order, and loses nothing", async () => {
    const { clock, network, atA, atB } = await connected(2);
    const heard = listen(atB, clock);
    sendJobs(atA, 0, 10); // some of these are under way when the hold begins
    await clock.advance(0.5);
    const before = heard.jobs.length;
    network.hold({ between: ["b", "a"], forMs: 1000 });
    sendJobs(atA, 10, 20);
    await clock.advance(999);
    expect(heard.jobs).toHaveLength(before);
    await clock.advance(10);
    expect(heard.jobs).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(heard.closed).toBeUndefined();
  });

  it("that is held one way still delivers the other way", async () => {
    const { clock, network, atA, atB } = await connected(2);
    const [toA, toB] = [listen(atA, clock), listen(atB, clock)];
    network.hold({ between: ["a", "b"], forMs: 1000, way: "there" });
    sendJobs(atA, 0, 3);
    sendJobs(atB, 0, 3);
    await clock.advance(999);
    expect([toA.jobs.length, toB.jobs.length]).toEqual([3, 0]);
    await clock.advance(10);
    expect(toB.jobs).toEqual([0, 1, 2]);
  });

  it("that is held keeps a new dial waiting", async () => {
    const { clock, network, a, b } = await connected(2);
    const { address } = b.listen({ name: "b", onLink: () => {} });
    network.hold({ between: ["a", "b"], forMs: 1000 });
    const dialedAt = clock.now();
    await clock.until(a.dialer.dial(address, { role: "worker", name: "a" }));
    expect(clock.now() - dialedAt).toBeGreaterThan(1000);
  });

  it("that is cut delivers a prefix at most, and both ends notice later", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { clock, network, atA, atB } = await connected(seed);
      const atEnds = [listen(atA, clock), listen(atB, clock)];
      sendJobs(atA, 0, 10);
      network.cut({ between: ["a", "b"] });
      sendJobs(atA, 10, 20); // the sender does not know yet
      expect(atEnds.map((end) => end.closed)).toEqual([undefined, undefined]);
      await clock.advance(1000);
      expect(atEnds.map((end) => end.closed)).toEqual(["the connection broke", "the connection broke"]);
      const { jobs } = atEnds[1]!;
      expect(jobs).toEqual(Array.from({ length: jobs.length }, (_, i) => i));
      expect(jobs.length).toBeLessThanOrEqual(10);
      expect(network.counters.dropped).toBeGreaterThan(0);
    }
  });

  it("that drops loses messages for a time and counts them", async () => {
    const { clock, network, atA, atB } = await connected(3);
    const heard = listen(atB, clock);
    sendJobs(atA, 0, 5);
    await clock.advance(10);
    network.drop({ between: ["a", "b"], forMs: 100 });
    sendJobs(atA, 5, 10);
    atA.sendFrame(frame({ opcode: "pull" }));
    await clock.advance(100);
    sendJobs(atA, 10, 15);
    await clock.advance(10);
    expect(heard.jobs).toEqual([0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
    expect(network.counters.dropped).toBe(6);
  });
});

describe("a simulated host that is paused", () => {
  it("does nothing for a time, then hears all in order, and its timers run", async () => {
    const { clock, a, b, atA, atB } = await connected(4);
    const [toA, toB] = [listen(atA, clock), listen(atB, clock)];
    const ran: number[] = [];
    b.clock.after(500, () => {
      ran.push(clock.now());
      sendJobs(atB, 5, 6);
    });
    sendJobs(atB, 0, 5); // went out before
    b.pause(1000);
    const resumesAt = clock.now() + 1000;
    sendJobs(atA, 0, 20);
    const dialing = a.dialer.dial(b.listen({ name: "b", onLink: () => {} }).address, { role: "worker", name: "a" });
    await clock.advance(999);
    expect([toA.jobs, toB.jobs, ran]).toEqual([[0, 1, 2, 3, 4], [], []]);
    await clock.until(dialing);
    await clock.advance(10);
    expect(toB.jobs).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(ran).toEqual([resumesAt]);
    expect(toA.jobs).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("notices only afterwards that its peer is gone", async () => {
    const { clock, a, b, atB } = await connected(4);
    const toB = listen(atB, clock);
    b.pause(2000);
    a.crash();
    await clock.advance(1999);
    expect(toB.closed).toBeUndefined();
    await clock.advance(10);
    expect(toB.closed).toBe("the connection broke");
  });

  it("is paused until the last of its pauses ends, and may crash in it", async () => {
    const { clock, b, atA, atB } = await connected(4);
    const [toA, toB] = [listen(atA, clock), listen(atB, clock)];
    b.pause(1000);
    b.pause(100);
    sendJobs(atA, 0, 2);
    await clock.advance(900);
    b.crash();
    await clock.advance(2000);
    expect([toA.closed, toB.jobs]).toEqual(["the connection broke", []]);
  });
});

test("a simulated host's clock may begin later and run faster than the network's", async () => {
  const clock = new SimulatedClock();
  const host = new SimulatedNetwork({ clock, seed: 1 }).host("a", { rate: 1.25, startMs: 40 });
  let ranAt = 0;
  host.clock.after(100, () => (ranAt = clock.now()));
  host.clock.after(100, () => (ranAt = -1))();
  await clock.advance(100);
  expect([host.clock.now(), ranAt]).toEqual([165, 80]);
});

describe("a simulated host that crashes", () => {
  it("runs no timer, hears nothing, and its peers notice", async () => {
    const { clock, b, atA, atB } = await connected(4);
    const atPeer = listen(atA, clock);
    const atDead = listen(atB, clock);
    let ran = false;
    b.clock.after(1, () => (ran = true));
    sendJobs(atA, 0, 5);
    b.crash();
    await clock.advance(1000);
    expect(ran).toBe(false);
    expect(atDead).toEqual({ jobs: [], times: [], closed: undefined });
    expect(atPeer.closed).toBe("the connection broke");
  });

  it("hears nothing of connections that were cut before", async () => {
    const { clock, network, b, atA, atB } = await connected(4);
    const atDead = listen(atB, clock);
    sendJobs(atA, 0, 5);
    network.cut({ between: ["a", "b"] });
    b.crash();
    await clock.advance(1000);
    expect(atDead).toEqual({ jobs: [], times: [], closed: undefined });
  });

  it("frees its name and its address for the next life", async () => {
    const { clock, network, a, b } = await connected(5);
    const first = b.listen({ port: 80, name: "b", onLink: () => {} });
    expect(() => b.listen({ port: 80, name: "b", onLink: () => {} })).toThrow("in use");
    b.crash();
    const dead = a.dialer.dial(first.address, { role: "worker", name: "a" });
    await expect(clock.until(dead)).rejects.toThrow(`nothing listens at ${first.address}`);
    const again = network.host("b").listen({ port: 80, name: "b again", onLink: () => {} });
    const link = await clock.until(a.dialer.dial(again.address, { role: "worker", name: "a" }));
    expect(link.name).toBe("b again");
  });
});
