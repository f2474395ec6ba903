import { beforeEach, expect, test } from "vitest";
import { frame, type Control, type Frame, type Link } from "../wire/index.ts";
import { delayedLink } from "./delayed-link.ts";
import { seededRandom } from "./seeded-random.ts";
import { SimulatedClock } from "./simulated-clock.ts";
import { SimulatedNetwork } from "./simulated-network.ts";

const DELAY_MAX_MS = 1000;
/** More than the network itself takes. */
const NETWORK_MS = 10;

let clock: SimulatedClock;
/** Both ends of links whose near end is delayed. */
let connect: () => Promise<{ near: Link; far: Link }>;

beforeEach(() => {
  clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 1 });
  const accepted: Link[] = [];
  const { address } = network.host("far").listen({ name: "far", onLink: (link) => accepted.push(link) });
  const delays = { clock, random: seededRandom(3), delayMaxMs: DELAY_MAX_MS };
  const { dialer } = network.host("near");
  connect = async () => {
    const near = await clock.until(dialer.dial(address, { role: "worker", name: "near" }));
    return { near: delayedLink(near, delays), far: accepted.at(-1)! };
  };
});

function hear(link: Link) {
  const heard = { messages: [] as (Control | Frame)[], closed: undefined as string | undefined };
  link.listen({
    onControl: (control) => heard.messages.push(control),
    onFrame: (f) => heard.messages.push(f),
    onClose: (reason) => (heard.closed = reason),
  });
  return heard;
}

const jobs = (messages: readonly (Control | Frame)[]) =>
  messages.map((message) => ("job" in message ? message.job : -1));
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

test("messages of a delayed link come late, both ways, and in order", async () => {
  const { near, far } = await connect();
  const [atNear, atFar] = [hear(near), hear(far)];
  for (const job of numbers(50)) {
    near.sendControl({ type: "close-job", job });
    far.sendFrame(frame({ opcode: "pullReply", job }));
  }
  await clock.advance(NETWORK_MS);
  expect(atNear.messages.length).toBeLessThan(50);
  expect(atFar.messages.length).toBeLessThan(50);
  await clock.advance(DELAY_MAX_MS);
  expect(jobs(atNear.messages)).toEqual(numbers(50));
  expect(jobs(atFar.messages)).toEqual(numbers(50));
});

test("messages of different delayed links overtake each other", async () => {
  const order: number[] = [];
  for (const job of numbers(20)) {
    const { near, far } = await connect();
    far.listen({ onControl: () => order.push(job), onFrame: () => {}, onClose: () => {} });
    near.sendControl({ type: "close-job", job });
  }
  await clock.advance(DELAY_MAX_MS + NETWORK_MS);
  expect(order.toSorted((a, b) => a - b)).toEqual(numbers(20));
  expect(order).not.toEqual(numbers(20));
});

test("a delayed frame is what it was when it was sent", async () => {
  const { near, far } = await connect();
  const heard = hear(far);
  const values = Float32Array.of(1, 2);
  near.sendFrame(frame({ opcode: "push", values }));
  values.fill(9);
  await clock.advance(DELAY_MAX_MS + NETWORK_MS);
  expect(heard.messages).toMatchObject([{ values: Float32Array.of(1, 2) }]);
});

test("a delayed link that closes has sent what came before, and hears nothing more", async () => {
  const { near, far } = await connect();
  const [atNear, atFar] = [hear(near), hear(far)];
  far.sendControl({ type: "close-job", job: 1 });
  near.sendControl({ type: "close-job", job: 2 });
  near.close("enough");
  await clock.advance(2 * DELAY_MAX_MS + NETWORK_MS);
  expect(jobs(atFar.messages)).toEqual([2]);
  expect(atFar.closed).toBe("enough");
  expect(atNear).toEqual({ messages: [], closed: "enough" });
});
