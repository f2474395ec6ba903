import type { JobManifest } from "@volary/core/job";
import type { Clock, ClusterStatus, Control, Link, LinkEvents } from "@volary/core/wire";
import { expect, test } from "vitest";
import { CoordinatorClient } from "./coordinator-client.ts";

/** The coordinator's end of a link, played by the test. */
class FakeLink implements Link {
  readonly name = "coordinator";
  readonly sent: Control[] = [];
  #events: LinkEvents | undefined;

  sendControl(control: Control): void {
    this.sent.push(control);
  }
  sendFrame(): void {}
  close(): void {}
  listen(events: LinkEvents): void {
    this.#events = events;
  }
  say(control: Control): void {
    this.#events!.onControl(control);
  }
  hangUp(reason: string): void {
    this.#events!.onClose(reason);
  }
}

function open() {
  const link = new FakeLink();
  const timers: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    after: (_, run) => (timers.push(run), () => void timers.splice(timers.indexOf(run), 1)),
  };
  return { link, timers, client: new CoordinatorClient({ address: "ws://c", link, clock }) };
}

const empty: ClusterStatus = {
  nodes: [],
  workers: [],
  jobs: [],
  mapVersion: 0,
  chains: { whole: 0, short: 0, moving: 0 },
  failovers: 0,
  moves: 0,
  overrides: 0,
};
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("requests are asked one at a time and answered in turn", async () => {
  const { link, client } = open();
  const status = client.status();
  const commits = client.commits(3);
  await settled();
  expect(link.sent).toEqual([{ type: "status-request" }]);
  link.say({ type: "status", status: empty });
  expect(await status).toEqual(empty);
  await settled();
  expect(link.sent.at(-1)).toEqual({ type: "commits-request", job: 3 });
  link.say({ type: "commits", job: 3, commits: [{ step: 1, attempt: 1 }], terms: [] });
  expect(await commits).toEqual({ commits: [{ step: 1, attempt: 1 }], terms: [] });
});

test("an error rejects the request it is about, with its code", async () => {
  const { link, client } = open();
  const commits = client.commits(3);
  await settled();
  link.say({ type: "error", code: "UNKNOWN_JOB", message: "this coordinator has no job 3", job: 3 });
  await expect(commits).rejects.toMatchObject({ code: "UNKNOWN_JOB", message: "this coordinator has no job 3" });
});

test("an error about a watched job goes to its watcher, whatever request waits", async () => {
  const { link, client } = open();
  const errors: string[] = [];
  client.watch(5, { onStatus: () => {}, onError: ({ code }) => errors.push(code) });
  const status = client.status();
  await settled();
  link.say({ type: "error", code: "UNKNOWN_JOB", message: "gone", job: 5 });
  link.say({ type: "status", status: empty });
  expect(errors).toEqual(["UNKNOWN_JOB"]);
  expect(await status).toEqual(empty);
});

test("a job that a PS node cannot open rejects its submission, whose number the client never heard", async () => {
  const { link, client } = open();
  client.watch(5, { onStatus: () => {}, onError: () => {} });
  const submitted = client.submit({} as JobManifest);
  await settled();
  link.say({ type: "error", code: "UNKNOWN_JOB", message: "about another job", job: 5 });
  link.say({ type: "error", code: "BAD_JOB", message: "PS node ps-1: no plugin", job: 6 });
  await expect(submitted).rejects.toMatchObject({ code: "BAD_JOB", message: "PS node ps-1: no plugin" });
});

test("a request that is not answered in time is rejected, and the next one asked", async () => {
  const { link, timers, client } = open();
  const first = client.status();
  const second = client.status();
  await settled();
  timers[0]!();
  await expect(first).rejects.toMatchObject({ code: "TIMEOUT" });
  await settled();
  expect(link.sent).toHaveLength(2);
  link.say({ type: "status", status: empty });
  expect(await second).toEqual(empty);
});

test("when the link closes, all that wait and all that watch are told, then and later", async () => {
  const { link, client } = open();
  const errors: string[] = [];
  const watcher = { onStatus: () => {}, onError: ({ message }: Error) => errors.push(message) };
  client.watch(1, watcher);
  const status = client.status();
  await settled();
  link.hangUp("the connection closed (1006)");
  const gone = "the coordinator at ws://c is gone: the connection closed (1006)";
  await expect(status).rejects.toThrow(gone);
  await expect(client.commits(1)).rejects.toThrow(gone);
  client.watch(2, watcher);
  expect(errors).toEqual([gone, gone]);
});
