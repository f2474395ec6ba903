import { describe, expect, it } from "vitest";
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { SimulatedClock } from "../testing/simulated-clock.ts";
import { SimulatedNetwork } from "../testing/simulated-network.ts";
import { connectWithBackoff, type ConnectOptions } from "./connect.ts";
import type { Link } from "./link.ts";

const ADDRESS = "sim://coordinator:7171";

function setUp() {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 1 });
  const coordinator = network.host("coordinator");
  const attempts: number[] = [];
  const { dialer } = network.host("ps");
  const options: ConnectOptions = {
    address: ADDRESS,
    hello: { role: "ps", name: "ps" },
    clock,
    random: () => 0.5,
    log: () => {},
    dialer: {
      dial: (address, hello) => {
        attempts.push(clock.now());
        return dialer.dial(address, hello);
      },
    },
  };
  return { clock, coordinator, attempts, options };
}

describe("connectWithBackoff()", () => {
  it("goes on until the coordinator is up", async () => {
    const { clock, coordinator, attempts, options } = setUp();
    clock.after(1000, () => coordinator.listen({ port: 7171, name: "coordinator", onLink: () => {} }));
    const link = await clock.until(connectWithBackoff(options));
    expect(link.name).toBe("coordinator");
    expect(attempts.length).toBeGreaterThan(2);
  });

  it("gives up after its attempts, with growing waits, and says what to do", async () => {
    const { clock, attempts, options } = setUp();
    const outcome = connectWithBackoff(options).catch((error: unknown) => error);
    const error = (await clock.until(outcome)) as ClusterError;
    expect(error.code).toBe("COORDINATOR_UNAVAILABLE");
    expect(error.message).toMatch(
      /^no coordinator at sim:\/\/coordinator:7171 after 8 attempts over 9\.\d s; is it running\? start one with `volary coordinator` \(/,
    );
    expect(attempts).toHaveLength(LIMITS.connectAttemptsMax);
    const waits = attempts.slice(1).map((at, i) => Math.round((at - attempts[i]!) / 100));
    expect(waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
  });

  it("jitters its waits by what it is given", async () => {
    const slow = setUp();
    await slow.clock.until(connectWithBackoff({ ...slow.options, random: () => 0.999 }).catch(() => {}));
    const fast = setUp();
    await fast.clock.until(connectWithBackoff({ ...fast.options, random: () => 0 }).catch(() => {}));
    expect(slow.clock.now() / fast.clock.now()).toBeCloseTo(1.25 / 0.75, 1);
  });

  it("gives up at once when it is refused for good", async () => {
    const { clock, coordinator, attempts, options } = setUp();
    const refuse = () => ({ code: "NOT_A_MEMBER", message: "no" }) as const;
    coordinator.listen({ port: 7171, name: "coordinator", refuse, onLink: () => {} });
    await expect(clock.until(connectWithBackoff(options))).rejects.toThrow("refused: no");
    expect(attempts).toHaveLength(1);
  });

  it("ends when it is told to, whether it waits or dials", async () => {
    for (const afterMs of [50, 250]) {
      const { clock, options } = setUp();
      const controller = new AbortController();
      const outcome = connectWithBackoff({ ...options, signal: controller.signal }).catch((error: unknown) => error);
      clock.after(afterMs, () => controller.abort(new Error("stopped")));
      expect(await clock.until(outcome)).toEqual(new Error("stopped"));
      expect(clock.now()).toBeLessThan(300);
    }
  });

  it("closes a link that opens after it was told to end", async () => {
    const { clock, coordinator, options } = setUp();
    const closed: string[] = [];
    const onLink = (link: Link) =>
      link.listen({ onControl: () => {}, onFrame: () => {}, onClose: (reason) => closed.push(reason) });
    coordinator.listen({ port: 7171, name: "coordinator", onLink });
    const controller = new AbortController();
    const outcome = connectWithBackoff({ ...options, signal: controller.signal }).catch((error: unknown) => error);
    controller.abort(new Error("stopped"));
    expect(await clock.until(outcome)).toEqual(new Error("stopped"));
    await clock.advance(10);
    expect(closed).toEqual(["this side stops"]);
  });
});
