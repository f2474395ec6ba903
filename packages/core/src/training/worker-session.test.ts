import { expect, test } from "vitest";
import { SimulatedClock, SimulatedNetwork } from "../testing/index.ts";
import type { Link } from "../wire/index.ts";
import { WorkerSession } from "./worker-session.ts";

test("a worker has joined when the coordinator says so, not when it has asked", async () => {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 1 });
  const { dialer } = network.host("worker");
  let coordinator: Link | undefined;
  const { address } = network.host("coordinator").listen({
    name: "coordinator",
    onLink: (link) => {
      coordinator = link;
      link.listen({ onControl: () => {}, onFrame: () => {}, onClose: () => {} });
    },
  });
  const session = new WorkerSession({
    name: "worker",
    address: "",
    backend: "none",
    coordinator: await clock.until(dialer.dial(address, { role: "worker", name: "worker" })),
    dialer,
    clock,
    openDataset: () => Promise.reject(new Error("no job is given")),
    openModel: () => Promise.reject(new Error("no job is given")),
    log: () => {},
  });
  let hasJoined = false;
  void session.joined.then(() => (hasJoined = true));
  await clock.advance(1000);
  expect(hasJoined).toBe(false);
  coordinator!.sendControl({ type: "worker-joined", worker: 7 });
  await clock.until(session.joined);
  session.stop();
});
