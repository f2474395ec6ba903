import { SimulatedClock, SimulatedNetwork, type SimulatedListener } from "@volary/core/testing";
import type { Control, Link } from "@volary/core/wire";
import { describe, expect, it } from "vitest";
import { scriptedNews, scriptedStatus } from "../testing/scripted-status.ts";
import { ClusterWatch, type ClusterView } from "./cluster-watch.ts";

const JOB = 2;

/** A coordinator that answers, and a dashboard that is told where it is. */
function setUp({ refuse = false } = {}) {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 1 });
  const heard: Control[] = [];
  const views: ClusterView[] = [];
  let links: Link[] = [];
  let listener: SimulatedListener | undefined;
  const host = network.host("coordinator");
  const script = { step: 10, answers: true };
  const serve = () => {
    listener = host.listen({
      port: 7171,
      name: "coordinator",
      ...(refuse ? { refuse: () => ({ code: "PROTOCOL_VERSION", message: "upgrade" }) as const } : {}),
      onLink: (link) => {
        links.push(link);
        link.listen({
          onControl: (control) => {
            heard.push(control);
            if (!script.answers) return;
            if (control.type === "status-request") {
              link.sendControl({ type: "status", status: scriptedStatus({ step: script.step }) });
            } else if (control.type === "watch") {
              link.sendControl({ type: "job-status", status: scriptedNews({ job: control.job, step: script.step }) });
            }
          },
          onFrame: () => {},
          onClose: () => {},
        });
      },
    });
  };
  const close = () => {
    listener?.close();
    for (const link of links) link.close("the coordinator stops");
    links = [];
  };
  const watch = new ClusterWatch({
    dialer: network.host("tab").dialer,
    address: "sim://coordinator:7171",
    clock,
    random: () => 0.5,
    onChange: (view) => views.push(view),
  });
  const states = () =>
    views.map(({ connection }) => connection.state).filter((state, i, all) => i === 0 || state !== all[i - 1]);
  return { clock, serve, close, watch, heard, script, states, link: () => links.at(-1)! };
}

const count = (heard: readonly Control[], type: Control["type"]): number =>
  heard.filter((control) => control.type === type).length;

describe("ClusterWatch", () => {
  it("asks for the status once a second", async () => {
    const { clock, serve, watch, heard, script } = setUp();
    serve();
    void watch.run();
    await clock.advance(500);
    expect(watch.view.connection).toEqual({ state: "connected" });
    script.step = 20;
    await clock.advance(5_000);
    expect(count(heard, "status-request")).toBeGreaterThanOrEqual(5);
    expect(count(heard, "status-request")).toBeLessThanOrEqual(6);
    expect(watch.view.status!.jobs[1]!.step).toBe(20);
    watch.stop();
  });

  it("watches a job once, and has its history and what follows", async () => {
    const { clock, serve, watch, heard, link } = setUp();
    watch.watch(JOB); // before there is a connection
    serve();
    void watch.run();
    await clock.advance(500);
    watch.watch(JOB);
    await clock.advance(3_000);
    expect(heard.filter(({ type }) => type === "watch")).toEqual([{ type: "watch", job: JOB }]);
    expect(watch.view.curves.get(JOB)!.loss.steps).toHaveLength(10);
    const status = scriptedNews({ job: JOB, step: 12 });
    link().sendControl({
      type: "job-status",
      status: { ...status, news: { ...status.news!, steps: status.news!.steps.slice(10) } },
    });
    await clock.advance(20);
    expect(watch.view.curves.get(JOB)!.loss.steps).toHaveLength(12);
    expect(watch.view.status!.jobs.find(({ job }) => job === JOB)!.step).toBe(12);
    watch.stop();
  });

  it("does not ask for a job that the coordinator does not know", async () => {
    const { clock, serve, watch, heard } = setUp();
    watch.watch(99);
    serve();
    void watch.run();
    await clock.advance(3_000);
    expect(count(heard, "watch")).toBe(0);
    watch.stop();
  });

  it("comes back to a coordinator that was away, and shows what it saw meanwhile", async () => {
    const { clock, serve, close, watch, states, heard } = setUp();
    watch.watch(JOB);
    serve();
    void watch.run();
    await clock.advance(2_000);
    close();
    await clock.advance(10_000);
    expect(watch.view.connection).toMatchObject({ state: "connecting", reason: expect.stringMatching(/./) });
    expect(watch.view.status!.jobs).toHaveLength(2);
    expect(watch.view.curves.get(JOB)!.loss.steps).toHaveLength(10);
    serve();
    await clock.advance(5_000);
    expect(states()).toEqual(["connected", "connecting", "connected"]);
    expect(count(heard, "watch")).toBe(2);
    expect(watch.view.curves.get(JOB)!.loss.steps).toHaveLength(10);
    watch.stop();
  });

  it("takes a coordinator that does not answer for lost", async () => {
    const { clock, serve, watch, script, states } = setUp();
    serve();
    void watch.run();
    await clock.advance(2_000);
    script.answers = false;
    await clock.advance(10_000);
    script.answers = true;
    await clock.advance(10_000);
    expect(states()).toEqual(["connected", "connecting", "connected"]);
    watch.stop();
  });

  it("does not try again where it is refused for good, and says why", async () => {
    const { clock, serve, watch } = setUp({ refuse: true });
    serve();
    await clock.until(watch.run());
    expect(watch.view.connection).toMatchObject({ state: "refused", reason: expect.stringContaining("upgrade") });
  });

  it("keeps what the coordinator refused for the page to say", async () => {
    const { clock, serve, watch, link } = setUp();
    serve();
    void watch.run();
    await clock.advance(500);
    link().sendControl({ type: "error", code: "UNKNOWN_JOB", message: "there is no job 7" });
    await clock.advance(20);
    expect(watch.view.fault).toBe("there is no job 7");
    expect(watch.view.connection).toEqual({ state: "connected" });
    watch.stop();
  });

  it("ends when it is stopped, whether it is connected or not", async () => {
    for (const isUp of [true, false]) {
      const { clock, serve, watch } = setUp();
      if (isUp) serve();
      const ended = watch.run();
      await clock.advance(500);
      watch.stop();
      await clock.until(ended, { limitMs: 100 });
    }
  });
});
