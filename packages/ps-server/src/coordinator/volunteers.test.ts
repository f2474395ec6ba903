/** From an invitation to a session and its end, by the coordinator's messages. */
import { describe, expect, it } from "vitest";
import { invitationSchema, type JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { Control, ControlOf, LeafStatus } from "@volary/core/wire";
import { Cluster, DATA, MANIFEST } from "./test-coordinator.ts";
import type { VolunteerKeys } from "./volunteers/signed-invitation.ts";

function keys(): VolunteerKeys {
  let next = 1;
  return {
    secret: () => `secret-${String(next++).padStart(12, "0")}`,
    sign: (text) => ({ text, signature: "s".repeat(86), publicKey: "k".repeat(43) }),
    keyId: "the-key",
  };
}

const INVITE = {
  type: "invite",
  role: "volunteer",
  uses: 1,
  validMs: 60_000,
  trusted: false,
  by: "the library",
  about: "which books are lent together",
} as const;

const LEAF: LeafStatus = {
  volunteer: 1,
  name: "volunteer 1",
  device: "webgl",
  state: "working",
  samples: 100,
  accepted: 3,
  late: 0,
  refused: {},
  samplesPerSecond: 50,
};

/** One PS node, a reducer that has opened the job, a gateway, a client. */
class Helped {
  readonly c = new Cluster({ volunteerKeys: keys() });
  readonly #node = this.c.ps("ps-1");
  readonly gateway = this.c.link();
  readonly reducer = this.c.link();
  readonly client: number;
  readonly job: number;
  #request = 0;

  constructor(manifest: JobManifest = MANIFEST) {
    const { c } = this;
    c.say(this.reducer, { type: "worker-join", name: "r", address: "ws://r:1", backend: "cpu", leaves: 64 });
    const { client, job } = c.run([this.#node], { ...manifest, workersMin: 1 });
    [this.client, this.job] = [client, job];
    c.ready(this.reducer, job);
    c.say(this.gateway, { type: "gateway-join", name: "g", url: "https://help.example" });
    this.forget();
  }

  forget(): void {
    this.c.forget();
  }

  invite(invite: Partial<ControlOf<"invite">> = {}): string[] {
    this.c.say(this.client, { ...INVITE, job: this.job, ...invite });
    return this.c.told(this.client, "invited").tokens;
  }

  /** Time passes, and nobody is silent. */
  pass(ms: number): void {
    this.c.now += ms;
    for (const link of [this.#node, this.reducer]) this.c.say(link, { type: "heartbeat" });
  }

  redeem(token: string, claim?: string): Control {
    return this.#ask({ type: "redeem", request: ++this.#request, token, claim });
  }

  again(session: string): Control {
    return this.#ask({ type: "session-request", request: ++this.#request, session, state: "enters" });
  }

  session(token = this.invite()[0]!): ControlOf<"session"> {
    return this.redeem(token) as ControlOf<"session">;
  }

  #ask(control: Control): Control {
    this.c.say(this.gateway, control);
    return this.c.tellings(this.gateway).find((each) => {
      if (each.type === "session") return each.request === this.#request;
      return each.type === "error" && each.requestId === this.#request;
    })!;
  }
}

const refusal = (code: string) => expect.objectContaining({ type: "error", code }) as unknown;

describe("an invitation", () => {
  it("gives as many tokens as it has uses, the key's id and where the gateways are", () => {
    const h = new Helped();
    h.c.say(h.client, { ...INVITE, job: h.job, uses: 3 });
    const { tokens, keyId, urls } = h.c.told(h.client, "invited");
    expect(new Set(tokens).size).toBe(3);
    expect(keyId).toBe("the-key");
    expect(urls).toEqual(["https://help.example"]);
  });

  it("tells who asks for what, and of the data its names and rows alone", () => {
    const data: JobManifest["data"] = {
      ...MANIFEST.data,
      files: [
        { kind: "file", path: "/home/ada/secret/train.parquet" },
        { kind: "http", url: "https://host.example/a/part-2.parquet?signature=abc" },
        { kind: "s3", bucket: "b", key: "runs/part-3.parquet", endpoint: "http://10.0.0.1:9000" },
      ],
      test: { kind: "files", files: [{ kind: "file", path: "C:\\data\\held-out.parquet" }] },
    };
    const h = new Helped({ ...MANIFEST, data });
    const { text } = h.session().invitation;
    const invitation = invitationSchema.parse(JSON.parse(text));
    expect(invitation).toMatchObject({ job: h.job, by: "the library", about: INVITE.about, trusted: false });
    expect(invitation.data).toEqual({
      files: ["train.parquet", "part-2.parquet", "part-3.parquet"],
      rows: DATA.trainRows,
    });
    expect(invitation.manifest.model).toEqual(MANIFEST.model);
    for (const secret of ["ada", "signature", "10.0.0.1", "C:"]) expect(text).not.toContain(secret);
    expect(text).toContain("held-out.parquet");
  });

  it("is refused for a job that needs functions, by their names", () => {
    const sha256 = "a".repeat(64);
    const loss = new Helped({ ...MANIFEST, compile: { ...MANIFEST.compile, loss: { function: "focal", sha256 } } });
    loss.c.say(loss.client, { ...INVITE, job: loss.job });
    const told = loss.c.told(loss.client, "error");
    expect(told).toMatchObject({ code: "BAD_JOB", job: loss.job });
    expect(told.message).toContain('"focal"');
    expect(loss.session(loss.invite({ role: "observer" })[0]).reducers).toEqual([]); // who watches runs nothing

    const optimizer = { kind: "custom", update: "counts", sha256, options: {} } as const;
    const table = { id: 1, name: "user", dim: 8, initializer: { kind: "zeros" }, optimizer } as const;
    const update = new Helped({ ...MANIFEST, tables: [table] });
    update.c.say(update.client, { ...INVITE, job: update.job });
    expect(update.c.told(update.client, "error").message).toContain('"counts"');

    const topology = { class_name: "Model", config: { layers: [{ class_name: "MyLayer", config: {} }] } };
    const layer = new Helped({ ...MANIFEST, model: { ...MANIFEST.model, topology } });
    layer.c.say(layer.client, { ...INVITE, job: layer.job });
    expect(layer.c.told(layer.client, "error").message).toContain('"MyLayer"');
  });

  it("is refused for a job whose dense weights are more than a volunteer is sent", () => {
    const variables = [{ name: "kernel", shape: [4096, 4096], trainable: true }];
    const h = new Helped({ ...MANIFEST, model: { ...MANIFEST.model, variables } });
    h.c.say(h.client, { ...INVITE, job: h.job });
    const message = expect.stringContaining("67109888 bytes of dense weights") as string;
    expect(h.c.told(h.client, "error")).toMatchObject({ code: "BAD_JOB", job: h.job, message });
  });

  it("is refused for a job that is over, and by a coordinator without keys", () => {
    const h = new Helped();
    h.c.say(h.client, { type: "stop-job", job: h.job });
    h.c.say(h.client, { ...INVITE, job: h.job });
    expect(h.c.told(h.client, "error")).toMatchObject({ code: "BAD_JOB", job: h.job });

    const c = new Cluster();
    const { client, job } = c.run([c.ps("ps-1")]);
    c.say(client, { ...INVITE, job });
    expect(c.told(client, "error").code).toBe("BAD_INVITATION");
  });

  it("is refused where too many tokens are open, until some are past", () => {
    const h = new Helped();
    for (let open = 0; open < LIMITS.tokensMax; open += LIMITS.invitationUsesMax)
      h.invite({ uses: LIMITS.invitationUsesMax, validMs: 1000 });
    h.c.say(h.client, { ...INVITE, job: h.job });
    expect(h.c.told(h.client, "error").code).toBe("LIMIT_EXCEEDED");
    h.pass(1000);
    expect(h.invite()).toHaveLength(1);
  });
});

describe("a token", () => {
  it("lets one volunteer in, with a number and a secret of its own", () => {
    const h = new Helped();
    const [first, second] = h.invite({ uses: 2 });
    const [a, b] = [h.session(first), h.session(second)];
    expect(a).toMatchObject({ job: h.job, phase: "training", expiresInMs: LIMITS.sessionMs });
    expect(b.volunteer).not.toBe(a.volunteer);
    expect(b.session).not.toBe(a.session);
    expect(a.session).not.toBe(first);
  });

  it("is of no use a second time, too late, or if nobody made it", () => {
    const h = new Helped();
    const [token] = h.invite();
    h.session(token);
    expect(h.redeem(token!)).toEqual(refusal("TOKEN_USED"));
    expect(h.redeem("nobody-made-this-token")).toEqual(refusal("TOKEN_UNKNOWN"));
    const [late] = h.invite({ validMs: 1000 });
    h.pass(999);
    h.pass(1);
    expect(h.redeem(late!)).toEqual(refusal("TOKEN_EXPIRED"));
    expect(h.c.coordinator.status(h.c.now).volunteers).toMatchObject({ invited: 2, redeemed: 1, sessions: 1 });
  });

  it("lets an observer in to watch: no reducer is named, and it is no volunteer's session", () => {
    const h = new Helped();
    h.session();
    const { session, volunteer, reducers, invitation } = h.session(h.invite({ role: "observer" })[0]);
    expect(reducers).toEqual([]);
    expect(h.again(session)).toMatchObject({ volunteer, reducers: [] });
    expect(invitationSchema.parse(JSON.parse(invitation.text)).role).toBe("observer");
    const count = () => h.c.coordinator.status(h.c.now).volunteers;
    expect(count()).toEqual({ invited: 2, redeemed: 2, sessions: 1, observers: 1, expelled: 0 });
    h.c.say(h.client, { type: "stop-job", job: h.job });
    h.c.tick(1);
    expect(h.again(session)).toEqual(refusal("SESSION_ENDED"));
    expect(count()).toMatchObject({ sessions: 0, observers: 0 });
  });

  it("gives the same session again to who has its claim, until that has ended", () => {
    const h = new Helped();
    const [token, another] = h.invite({ uses: 2 });
    const first = h.redeem(token!, "the claim of a page") as ControlOf<"session">;
    const again = h.redeem(token!, "the claim of a page") as ControlOf<"session">;
    expect(again).toEqual({ ...first, request: again.request });
    expect(h.redeem(token!, "the claim of another")).toEqual(refusal("TOKEN_USED"));
    expect(h.redeem(token!)).toEqual(refusal("TOKEN_USED"));
    expect(h.session(another).volunteer).not.toBe(first.volunteer);
    expect(h.c.coordinator.status(h.c.now).volunteers).toMatchObject({ redeemed: 2, sessions: 2 });
    h.c.say(h.client, { type: "stop-job", job: h.job });
    expect(h.redeem(token!, "the claim of a page")).toEqual(refusal("SESSION_ENDED"));
  });

  it("that was used without a claim cannot be claimed", () => {
    const h = new Helped();
    const [token] = h.invite();
    h.session(token);
    expect(h.redeem(token!, "the claim of a page")).toEqual(refusal("TOKEN_USED"));
  });

  it("keeps for the next time where its job is over", () => {
    const h = new Helped();
    const [token] = h.invite();
    h.c.say(h.client, { type: "stop-job", job: h.job });
    expect(h.redeem(token!)).toEqual(refusal("SESSION_ENDED"));
    expect(h.redeem(token!)).toEqual(refusal("SESSION_ENDED"));
  });

  it("is redeemed by gateways alone", () => {
    const h = new Helped();
    const [token] = h.invite();
    h.c.say(h.client, { type: "redeem", request: 7, token: token! });
    expect(h.c.told(h.client, "error")).toMatchObject({ code: "NOT_A_MEMBER", requestId: 7 });
    expect(h.redeem(token!)).toMatchObject({ type: "session" });
  });
});

describe("a session", () => {
  it("names the reducers that have opened its job, with how many volunteers they have", () => {
    const h = new Helped();
    h.c.worker("takes none");
    const late = h.c.link();
    h.c.say(late, { type: "worker-join", name: "late", address: "ws://late:1", backend: "cpu", leaves: 8 });
    h.c.say(h.reducer, { type: "leaves", job: h.job, leaves: [LEAF] });
    const { session, reducers } = h.session();
    const first = expect.objectContaining({ address: "ws://r:1", leaves: 1, leavesMax: 64 }) as unknown;
    expect(reducers).toEqual([first]);
    h.c.ready(late, h.job);
    const second = expect.objectContaining({ address: "ws://late:1", leaves: 0, leavesMax: 8 }) as unknown;
    expect(h.again(session)).toMatchObject({ reducers: [first, second] });
    h.c.close(h.reducer);
    expect(h.again(session)).toMatchObject({ reducers: [second] });
  });

  it("goes on after a reload, at any gateway", () => {
    const h = new Helped();
    const { session, volunteer } = h.session();
    h.c.close(h.gateway);
    const other = h.c.link();
    h.c.say(other, { type: "gateway-join", name: "other", url: "https://other.example" });
    h.pass(1000);
    h.c.say(other, { type: "session-request", request: 1, session, state: "enters" });
    const expiresInMs = LIMITS.sessionMs - 1000;
    expect(h.c.told(other, "session")).toMatchObject({ session, volunteer, expiresInMs });
  });

  it("has one connection, the newest, whatever gateways it comes through", () => {
    const h = new Helped();
    const { session, volunteer } = h.session();
    const other = h.c.link();
    h.c.say(other, { type: "gateway-join", name: "other", url: "https://other.example" });
    const ask = (gateway: number, state: ControlOf<"session-request">["state"]): Control["type"][] => {
      h.forget();
      h.c.say(gateway, { type: "session-request", request: 1, session, state });
      return h.c.types(gateway);
    };
    expect(ask(h.gateway, "connects")).toContain("session");
    expect(ask(other, "enters")).toContain("session");
    expect(h.c.types(h.gateway)).not.toContain("revoked");
    expect(ask(other, "connects")).toContain("session");
    const reason = "you have connected from another page";
    expect(h.c.told(h.gateway, "revoked")).toEqual({ type: "revoked", volunteer, code: "NAME_TAKEN", reason });

    h.c.say(h.gateway, { type: "session-request", request: 7, session, state: "connected" });
    expect(h.c.told(h.gateway, "error")).toMatchObject({ requestId: 7, code: "NAME_TAKEN", message: reason });
    expect(ask(other, "connected")).toContain("session");
    h.c.close(other);
    expect(ask(h.gateway, "connected")).toContain("session");
    expect(ask(h.gateway, "connects")).not.toContain("revoked");
  });

  it("ends when a reducer of its job has caught its volunteer, which every gateway is told", () => {
    const h = new Helped();
    const { session, volunteer } = h.session();
    const other = h.c.link();
    h.c.say(other, { type: "gateway-join", name: "other", url: "https://other.example" });
    const expel: Control = { type: "expel", job: h.job, volunteer, reason: "not the gradients of its samples" };
    h.c.say(h.reducer, expel);
    h.c.say(h.reducer, expel);
    const revoked = { type: "revoked", volunteer, code: "UPDATE_DIFFERS", reason: expel.reason };
    for (const gateway of [h.gateway, other]) {
      expect(h.c.told(gateway, "revoked")).toEqual(revoked);
      expect(h.c.types(gateway)).not.toContain("revoked");
    }
    expect(h.again(session)).toMatchObject({ type: "error", code: "UPDATE_DIFFERS", message: expel.reason });
    expect(h.c.coordinator.status(h.c.now).volunteers).toMatchObject({ sessions: 0, expelled: 1 });
  });

  it("is not ended by a worker that does not serve its job", () => {
    const h = new Helped();
    const { session, volunteer } = h.session();
    const stranger = h.c.link();
    h.c.say(stranger, { type: "expel", job: h.job, volunteer, reason: "I say so" });
    expect(h.c.told(stranger, "error").code).toBe("NOT_A_MEMBER");
    expect(h.again(session)).toMatchObject({ type: "session" });
  });

  it("ends with its job, after the last news of it", () => {
    const h = new Helped();
    const { session, volunteer } = h.session();
    h.c.say(h.gateway, { type: "watch", job: h.job });
    h.forget();
    h.c.say(h.client, { type: "stop-job", job: h.job });
    h.c.tick(1);
    const types = h.c.types(h.gateway);
    expect(types.at(-1)).toBe("revoked");
    expect(types).toContain("job-status");
    expect(h.c.told(h.gateway, "revoked")).toMatchObject({ volunteer, code: "SESSION_ENDED" });
    expect(h.again(session)).toEqual(refusal("SESSION_ENDED"));
  });

  it("ends when its time is up", () => {
    const h = new Helped();
    const { session } = h.session();
    h.pass(LIMITS.sessionMs - 1);
    h.c.tick(0);
    expect(h.again(session)).toMatchObject({ expiresInMs: 1 });
    h.pass(1);
    h.c.tick(0);
    expect(h.c.told(h.gateway, "revoked").code).toBe("SESSION_ENDED");
    expect(h.again(session)).toEqual(refusal("SESSION_ENDED"));
  });

  it("is not known to the next coordinator, which uses no number again", () => {
    const h = new Helped();
    const { volunteer } = h.session();
    expect(h.c.records.get("ids")).toMatchObject({ volunteer });
  });
});

describe("the status", () => {
  it("shows gateways by what they report, while they are there", () => {
    const h = new Helped();
    const report = { url: "https://help.example", connected: 2, refused: { TOKEN_USED: 1 }, bytesIn: 10, bytesOut: 20 };
    h.c.say(h.gateway, { type: "gateway-report", ...report });
    expect(h.c.coordinator.status(h.c.now).gateways).toEqual([report]);
    h.c.close(h.gateway);
    expect(h.c.coordinator.status(h.c.now).gateways).toEqual([]);
    h.c.say(h.client, { type: "gateway-report", ...report });
    expect(h.c.told(h.client, "error").code).toBe("NOT_A_MEMBER");
  });

  it("shows a reducer's volunteers, until its job is over", () => {
    const h = new Helped();
    h.c.say(h.reducer, { type: "leaves", job: h.job, leaves: [LEAF] });
    const leaves = () => h.c.coordinator.status(h.c.now).workers[0]!.leaves;
    expect(leaves()).toEqual([LEAF]);
    h.c.say(h.client, { type: "stop-job", job: h.job });
    expect(leaves()).toEqual([]);
  });

  it("tells what happened, the newest of it", () => {
    const h = new Helped();
    h.pass(5);
    h.session();
    h.c.close(h.reducer);
    const events = h.c.coordinator.status(h.c.now).events!;
    expect(events.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      "ps: PS node ps-1 joined",
      "worker: worker r joined on cpu",
      "job: job 1 (flights) is preparing",
      "job: job 1 (flights) is waiting",
      "job: job 1 (flights) is training",
      "gateway: gateway g joined at https://help.example",
      "volunteer: volunteer 1 was let in to job 1 (flights)",
      "worker: worker r is lost: its connection closed",
      expect.stringMatching(/^job: job 1 \(flights\) is /),
    ]);
    expect(events.at(-1)!.at).toBe(5);
    for (let i = 0; i < LIMITS.eventsKept; i++)
      h.c.say(h.gateway, { type: "gateway-join", name: `g-${i}`, url: "https://help.example" });
    const later = h.c.coordinator.status(h.c.now).events!;
    expect(later).toHaveLength(LIMITS.eventsKept);
    expect(later.at(-1)!.message).toContain(`gateway g-${LIMITS.eventsKept - 1} joined`);
  });
});
