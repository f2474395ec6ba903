/** Who comes in, what passes, what is refused and counted. */
import { describe, expect, it } from "vitest";
import { ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { frame, type Control, type Message } from "@volary/core/wire";
import { INVITATION, REDUCER, secretOf, sessionOf, STATUS, TestGateway } from "./test-gateway.ts";

const TRUSTED = { ...INVITATION, text: JSON.stringify({ trusted: true }) };

const OBSERVER = { ...INVITATION, text: JSON.stringify({ role: "observer", trusted: true }) };

const JOIN: Control = { type: "leaf-join", device: "webgl", samples: 32, computeMs: 5 };

describe("enter()", () => {
  it("takes a token to the coordinator and gives back what a page needs, without the reducers' addresses", () => {
    const g = new TestGateway();
    const claim = "of-whoever-asks-for-it";
    g.do(g.gateway.enter({ request: 9, by: "token", secret: "a-token-of-an-invitation", claim }, 0));
    expect(g.told().at(-1)).toEqual({ type: "redeem", request: 1, token: "a-token-of-an-invitation", claim });
    expect(g.coordinator(sessionOf(1, { volunteer: 4 }))).toEqual([
      {
        kind: "answer",
        request: 9,
        answer: {
          session: secretOf(4),
          volunteer: 4,
          expiresInMs: 3_600_000,
          phase: "training",
          invitation: INVITATION,
        },
      },
    ]);
  });

  it("passes the coordinator's refusal on and counts it once", () => {
    const g = new TestGateway();
    g.do(g.gateway.enter({ request: 9, by: "session", secret: secretOf(1) }, 0));
    const refusal = { code: "SESSION_ENDED", message: "the job is done" } as const;
    const effects = g.coordinator({ type: "error", requestId: 1, ...refusal });
    expect(effects).toEqual([{ kind: "answer", request: 9, answer: refusal }]);
    expect(g.coordinator({ type: "error", requestId: 1, ...refusal })).toEqual([]);
    expect(g.gateway.status.refused).toEqual({ SESSION_ENDED: 1 });
  });

  it("answers at once while the coordinator is away, when it goes, and when it says nothing", () => {
    const g = new TestGateway("alone");
    const enter = (request: number) => g.do(g.gateway.enter({ request, by: "session", secret: secretOf(1) }, g.now));
    expect(enter(1)).toMatchObject([{ request: 1, answer: { code: "COORDINATOR_UNAVAILABLE" } }]);
    g.do(g.gateway.coordinatorOpened(0));
    enter(2);
    expect(g.gateway.coordinatorClosed()).toMatchObject([{ request: 2, answer: { code: "COORDINATOR_UNAVAILABLE" } }]);
    g.do(g.gateway.coordinatorOpened(0));
    enter(3);
    const late = g.tick(LIMITS.gatewayAnswerMs).filter(({ kind }) => kind === "answer");
    expect(late).toMatchObject([{ request: 3, answer: { code: "TIMEOUT" } }]);
    expect(g.gateway.sizes.questions).toBe(0);
  });

  it("lets one token be tried so often a minute, and one address come so often", () => {
    const g = new TestGateway();
    const secret = "a-token-that-is-guessed";
    for (let i = 0; i < LIMITS.gatewayTriesPerMinute; i++) g.gateway.enter({ request: i, by: "token", secret }, 0);
    expect(g.gateway.enter({ request: 99, by: "token", secret }, 0)).toMatchObject([
      { kind: "answer", request: 99, answer: { code: "TOO_MANY" } },
    ]);
    for (let i = 0; i < LIMITS.gatewayEntriesPerMinute; i++) expect(g.gateway.refuseEntry("a", 0)).toBeUndefined();
    expect(g.gateway.refuseEntry("a", 0)).toMatchObject({ code: "TOO_MANY" });
    expect(g.gateway.refuseEntry("b", 0)).toBeUndefined();
    expect(g.gateway.refuseEntry("a", 1_000)).toBeUndefined();
    expect(g.gateway.status.refused).toEqual({ TOO_MANY: 2 });
  });
});

describe("a volunteer's connection", () => {
  it("gets the reducer with the fewest volunteers, as itself, and what it said meanwhile is passed on in order", () => {
    const g = new TestGateway();
    g.open(7, 3);
    g.says(7, JOIN);
    g.says(7, { type: "heartbeat" });
    const reducers = [
      { ...REDUCER, worker: 1, leaves: 5 },
      { ...REDUCER, worker: 2, address: "ws://second", leaves: 2 },
      { ...REDUCER, worker: 3, leaves: 1, leavesMax: 1 },
    ];
    const effects = g.coordinator(sessionOf(g.request, { volunteer: 3, reducers }));
    const hello = { role: "leaf", name: "tab", id: 3, job: 1 };
    expect(effects).toContainEqual({ kind: "dialReducer", leaf: 7, address: "ws://second", hello });
    g.says(7, { type: "leaf-ready" });
    expect(g.do(g.gateway.reducerOpened(7))).toEqual([
      { kind: "tellReducer", leaf: 7, message: { control: JOIN } },
      { kind: "tellReducer", leaf: 7, message: { control: { type: "leaf-ready" } } },
    ]);
  });

  it("counts its own volunteers where the coordinator has not heard of them yet", () => {
    const g = new TestGateway();
    const reducers = [REDUCER, { ...REDUCER, worker: 2, address: "ws://second" }];
    for (const leaf of [1, 2, 3, 4]) g.join(leaf, { volunteer: leaf, reducers });
    const dialed = g.effects.flatMap((effect) => (effect.kind === "dialReducer" ? [effect.address] : []));
    expect(dialed.filter((address) => address === "ws://second")).toHaveLength(2);
  });

  it("relays both ways what is allowed", () => {
    const g = new TestGateway();
    g.join(1);
    const f = frame({ opcode: "leafRowGradients", requestId: 5, values: Float32Array.of(1, 2) });
    expect(g.gateway.leafSays(1, { frame: f }, 0)).toEqual([{ kind: "tellReducer", leaf: 1, message: { frame: f } }]);
    const task: Control = { type: "leaf-task", task: 5, step: 1, samples: 2, globalSamples: 4, weighted: false };
    expect(g.gateway.reducerSays(1, { control: task })).toEqual([
      { kind: "tellLeaf", leaf: 1, message: { control: task } },
    ]);
    const { bytesIn, bytesOut, connected } = g.gateway.status;
    expect([bytesIn, bytesOut, connected]).toEqual([72, JSON.stringify(task).length, 1]);
  });

  it("cannot speak for another volunteer", () => {
    const g = new TestGateway();
    g.join(1, { volunteer: 8, invitation: TRUSTED });
    const signal: Control = { type: "leaf-signal", from: 9, to: 2, data: "offer" };
    expect(g.says(1, signal)).toEqual([{ kind: "tellReducer", leaf: 1, message: { control: { ...signal, from: 8 } } }]);
  });

  it("ends over words to a group from a volunteer who is not trusted", () => {
    const g = new TestGateway();
    g.join(1);
    g.says(1, { type: "leaf-signal", from: 1, to: 0, data: "join" });
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "PROTOCOL_VIOLATION", mayReturn: false }]);
    g.join(2, { volunteer: 8 });
    g.gateway.leafSays(2, { frame: frame({ opcode: "reduce", generation: 8 }) }, 0);
    expect(g.gateway.status.refused).toEqual({ PROTOCOL_VIOLATION: 2 });
  });

  it("ends over what a volunteer may not say, with a reason, counted once", () => {
    const g = new TestGateway();
    g.join(1);
    g.says(1, { type: "stop-job", job: 1 });
    g.says(1, { type: "stop-job", job: 1 });
    expect(g.heard(1, "leaf-end")).toEqual([
      {
        type: "leaf-end",
        code: "PROTOCOL_VIOLATION",
        message: 'a volunteer may not send a "stop-job"',
        mayReturn: false,
      },
    ]);
    expect(g.kinds(1).slice(-3)).toEqual(["tellLeaf", "closeLeaf", "closeReducer"]);
    expect(g.gateway.status.refused).toEqual({ PROTOCOL_VIOLATION: 1 });
  });

  it("ends over frames before there can be a task", () => {
    const g = new TestGateway();
    g.open(1);
    g.do(g.gateway.leafSays(1, { frame: frame({ opcode: "leafRowGradients" }) }, 0));
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "PROTOCOL_VIOLATION" }]);
    expect(g.coordinator(sessionOf(g.request, { volunteer: 1 }))).toEqual([]); // nobody is dialed for it
  });

  it("ends without a session that the coordinator knows", () => {
    const g = new TestGateway();
    g.open(1);
    g.coordinator({ type: "error", requestId: g.request, code: "SESSION_ENDED", message: "unknown" });
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "SESSION_ENDED", mayReturn: false }]);
    expect(g.gateway.status).toMatchObject({ connected: 0, refused: { SESSION_ENDED: 1 } });
  });

  it("tries the next reducer, and says that there is none", () => {
    const g = new TestGateway();
    g.open(1);
    const reducers = [REDUCER, { ...REDUCER, worker: 2, address: "ws://second", leaves: 3 }];
    g.coordinator(sessionOf(g.request, { volunteer: 1, reducers }));
    expect(g.do(g.gateway.reducerFailed(1))).toMatchObject([{ kind: "dialReducer", address: "ws://second" }]);
    g.do(g.gateway.reducerFailed(1));
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "NO_REDUCER", mayReturn: true }]);
  });

  it("takes the place of an older one of the same volunteer", () => {
    const g = new TestGateway();
    g.join(1, { volunteer: 5 });
    g.join(2, { volunteer: 5 });
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "NAME_TAKEN", mayReturn: false }]);
    expect(g.gateway.leafClosed(1)).toEqual([]);
    expect(g.gateway.status.connected).toBe(1);
    g.coordinator({ type: "revoked", volunteer: 5, code: "UPDATE_DIFFERS", reason: "it was caught" });
    expect(g.heard(2, "leaf-end")).toEqual([
      { type: "leaf-end", code: "UPDATE_DIFFERS", message: "it was caught", mayReturn: false },
    ]);
  });

  it("ends with its reducer, its session, or its silence", () => {
    const g = new TestGateway();
    for (const leaf of [1, 2, 3]) g.join(leaf, { volunteer: leaf, expiresInMs: leaf === 2 ? 500 : 1e9 });
    g.do(g.gateway.reducerClosed(1));
    g.tick(500);
    g.tick(LIMITS.gatewaySilentMs);
    expect([1, 2, 3].map((leaf) => g.heard(leaf, "leaf-end")[0])).toMatchObject([
      { code: "NO_REDUCER", mayReturn: true },
      { code: "SESSION_ENDED", mayReturn: false },
      { code: "TIMEOUT", mayReturn: true },
    ]);
    expect(g.gateway.sizes.leaves).toBe(0);
  });

  it("is asked whether it is there while it is silent, and stays if it is", () => {
    const g = new TestGateway();
    g.join(1);
    g.join(2);
    for (let waited = 0; waited < LIMITS.gatewaySilentMs; waited += LIMITS.gatewayHeartbeatMs) {
      g.tick(LIMITS.gatewayHeartbeatMs);
      expect(g.says(1, { type: "heartbeat" })).toEqual([]);
    }
    expect(g.heard(1, "leaf-end")).toEqual([]);
    expect(g.heard(2, "leaf-end")).toMatchObject([{ code: "TIMEOUT" }]);
    expect(g.heard(1, "heartbeat").length).toBeGreaterThanOrEqual(3);
  });

  it("passes a reducer's last word on once, and lets no reducer say what it should not", () => {
    const g = new TestGateway();
    g.join(1);
    g.join(2);
    const end: Control = { type: "leaf-end", code: "UPDATE_NORM", message: "too often", mayReturn: false };
    g.do(g.gateway.reducerSays(1, { control: end }));
    g.do(g.gateway.reducerClosed(1));
    expect(g.heard(1, "leaf-end")).toEqual([end]);
    g.do(g.gateway.reducerSays(2, { control: { type: "stop-job", job: 1 } }));
    expect(g.heard(2, "leaf-end")).toMatchObject([{ code: "NO_REDUCER" }]);
  });

  it("may send so many messages, and so many bytes, a second", () => {
    const g = new TestGateway();
    g.join(1);
    g.join(2);
    for (let i = 0; i < 2 * LIMITS.gatewayMessagesPerSecond; i++)
      g.gateway.leafSays(1, { control: { type: "leaf-ready" } }, 0);
    expect(g.gateway.status.refused).toEqual({});
    g.says(1, { type: "leaf-ready" });
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "TOO_MANY" }]);
    const f = frame({ opcode: "leafRowGradients", values: new Float32Array(LIMITS.gatewayBytesPerSecond / 4) });
    g.gateway.leafSays(2, { frame: f }, 0);
    g.do(g.gateway.leafSays(2, { frame: f }, 0));
    expect(g.heard(2, "leaf-end")).toMatchObject([{ code: "TOO_MANY" }]);
    expect(g.gateway.status.refused).toEqual({ TOO_MANY: 2 });
  });

  it("counts why its end was closed", () => {
    const g = new TestGateway();
    g.join(1);
    expect(g.gateway.leafClosed(1, "SLOW_READER")).toMatchObject([{ kind: "closeReducer", leaf: 1 }]);
    g.gateway.leafClosed(1, "SLOW_READER");
    expect(g.gateway.status.refused).toEqual({ SLOW_READER: 1 });
  });
});

describe("the coordinator", () => {
  it("may be away: relays go on; when it is back, jobs are watched and sessions asked for again", () => {
    const g = new TestGateway();
    g.join(1);
    g.join(2, { volunteer: 2, job: 6 });
    g.do(g.gateway.coordinatorClosed());
    expect(g.says(1, { type: "leaf-ready" })).toMatchObject([{ kind: "tellReducer" }]);
    const back = g.do(g.gateway.coordinatorOpened(g.now));
    expect(back).toMatchObject([
      { control: { type: "gateway-join", name: "gateway" } },
      { control: { type: "watch", job: 1 } },
      { control: { type: "watch", job: 6 } },
      { control: { type: "session-request", session: secretOf(1), state: "connected" } },
      { control: { type: "session-request", session: secretOf(2), state: "connected" } },
    ]);
    g.coordinator(sessionOf(g.request - 1, { volunteer: 1 }));
    g.coordinator({ type: "error", requestId: g.request, code: "SESSION_ENDED", message: "it was expelled" });
    expect([g.heard(1, "leaf-end"), g.heard(2, "leaf-end")]).toMatchObject([[], [{ code: "SESSION_ENDED" }]]);
  });

  it("says which volunteers connect, and ends those that have connected through another gateway", () => {
    const g = new TestGateway();
    g.do(g.gateway.enter({ request: 1, by: "session", secret: secretOf(1) }, 0));
    g.join(1, { volunteer: 5 });
    g.join(2, { volunteer: 6 });
    const states = g.told().flatMap((control) => (control.type === "session-request" ? [control.state] : []));
    expect(states).toEqual(["enters", "connects", "connects"]);
    g.coordinator({ type: "revoked", volunteer: 5, code: "NAME_TAKEN", reason: "elsewhere" });
    expect(g.heard(1, "leaf-end")).toEqual([
      { type: "leaf-end", code: "NAME_TAKEN", message: "elsewhere", mayReturn: false },
    ]);
    g.do(g.gateway.coordinatorClosed());
    g.do(g.gateway.coordinatorOpened(g.now));
    g.coordinator({ type: "error", requestId: g.request, code: "NAME_TAKEN", message: "elsewhere" });
    expect(g.heard(2, "leaf-end")).toMatchObject([{ code: "NAME_TAKEN", mayReturn: false }]);
  });

  it("hears once a second what has changed", () => {
    const g = new TestGateway();
    const reports = () => g.told().filter(({ type }) => type === "gateway-report").length;
    g.tick(0);
    g.tick(LIMITS.gatewayNewsEveryMs);
    expect(reports()).toBe(1);
    g.join(1);
    g.tick(1);
    g.says(1, { type: "leaf-ready" });
    g.tick(LIMITS.gatewayNewsEveryMs / 2);
    expect(reports()).toBe(2);
    g.tick(LIMITS.gatewayNewsEveryMs);
    expect(reports()).toBe(3);
  });

  it("cannot say what is for others", () => {
    expect(() => new TestGateway().coordinator({ type: "worker-joined", worker: 1 })).toThrow(ProtocolError);
  });

  it("tells of a job: one watch, news once a second, the story so far for who joins later, no names of files", () => {
    const g = new TestGateway();
    g.join(1);
    g.join(2);
    expect(g.told().filter(({ type }) => type === "watch")).toHaveLength(1);
    const news = (step: number) => ({ steps: [{ step, loss: 0.5, samples: 64 }], epochs: [], validations: [] });
    g.coordinator({ type: "job-status", status: { ...STATUS, news: news(1) } });
    g.coordinator({ type: "job-status", status: { ...STATUS, step: 2, news: news(2) } });
    g.coordinator({ type: "job-status", status: { ...STATUS, step: 3, news: news(3) } });
    const stepsTold = (leaf: number) =>
      g.heard(leaf, "job-status").map(({ status }) => status.news!.steps.map(({ step }) => step));
    expect(stepsTold(1)).toEqual([[], [1]]);
    g.join(3);
    expect(stepsTold(3)).toEqual([[1]]);
    g.tick(LIMITS.gatewayNewsEveryMs);
    expect(stepsTold(1)).toEqual([[], [1], [2, 3]]);
    expect(stepsTold(3)).toEqual([[1], [2, 3]]);
    expect(JSON.stringify(g.heard(1, "job-status"))).not.toContain("train.csv");
    g.tick(LIMITS.gatewayNewsEveryMs);
    expect(stepsTold(1)).toHaveLength(3);
  });

  it("tells of a new phase at once, before the sessions of a job that is over end", () => {
    const g = new TestGateway();
    g.join(1);
    for (const phase of ["training", "training", "done"] as const)
      g.coordinator({ type: "job-status", status: { ...STATUS, phase } });
    g.coordinator({ type: "revoked", volunteer: 1, code: "SESSION_ENDED", reason: "the job is done" });
    expect(g.heard(1, "job-status").at(-1)).toMatchObject({ status: { phase: "done" } });
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "SESSION_ENDED", mayReturn: false }]);
  });

  it("tells the story again to a gateway that comes back, and no volunteer hears a step twice", () => {
    const g = new TestGateway();
    g.join(1);
    const steps = [1, 2].map((step) => ({ step, loss: 0.5, samples: 64 }));
    g.coordinator({ type: "job-status", status: { ...STATUS, news: { steps, epochs: [], validations: [] } } });
    g.now += LIMITS.gatewayNewsEveryMs;
    const whole = [...steps, { step: 3, loss: 0.4, samples: 64 }];
    g.coordinator({ type: "job-status", status: { ...STATUS, news: { steps: whole, epochs: [], validations: [] } } });
    const told = g.heard(1, "job-status").flatMap(({ status }) => status.news!.steps.map(({ step }) => step));
    expect(told).toEqual([1, 2, 3]);
  });

  it("forgets a job that has ended once its volunteers have left", () => {
    const g = new TestGateway();
    g.join(1);
    g.coordinator({ type: "job-status", status: { ...STATUS, phase: "failed", message: "/data/x.csv is gone" } });
    expect(JSON.stringify(g.heard(1, "job-status"))).not.toContain("x.csv");
    g.do(g.gateway.leafClosed(1));
    g.tick(1);
    expect(g.gateway.sizes).toMatchObject({ feeds: 0, leaves: 0 });
  });
});

describe("an observer's connection", () => {
  /** One whose session is known. */
  const watching = (g: TestGateway, leaf = 1) => {
    g.open(leaf);
    return g.coordinator(sessionOf(g.request, { volunteer: leaf, invitation: OBSERVER }));
  };

  it("is told how far the job is, and no reducer hears of it", () => {
    const g = new TestGateway();
    watching(g);
    g.coordinator({ type: "job-status", status: STATUS });
    expect(g.heard(1, "job-status")[0]).toMatchObject({ status: { step: 1 } });
    expect(new Set(g.kinds(1))).toEqual(new Set(["tellLeaf"]));
    expect(g.gateway.status).toMatchObject({ connected: 1, refused: {} });
  });

  it.each<[string, Message]>([
    ["joins as a volunteer", { control: JOIN }],
    ["asks for a task", { control: { type: "leaf-ready" } }],
    ["speaks to a group", { control: { type: "leaf-signal", from: 1, to: 0, data: "join" } }],
    ["sends gradients", { frame: frame({ opcode: "leafRowGradients" }) }],
    ["sends a group's sums", { frame: frame({ opcode: "reduce" }) }],
  ])("ends with a reason where it %s, counted once", (_, message) => {
    const g = new TestGateway();
    watching(g);
    g.do(g.gateway.leafSays(1, message, g.now));
    g.do(g.gateway.leafSays(1, message, g.now));
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "TOKEN_ROLE", mayReturn: false }]);
    expect(g.heard(1, "leaf-end")[0]!.message).toMatch(/an observer may watch, not send .*; ask whoever sent the link/);
    expect(g.kinds(1)).toEqual(["tellLeaf", "closeLeaf"]);
    expect(g.gateway.status).toMatchObject({ connected: 0, refused: { TOKEN_ROLE: 1 } });
  });

  it("ends over what it said before its session was known, and may come again to watch", () => {
    const g = new TestGateway();
    g.open(1);
    g.says(1, JOIN);
    g.coordinator(sessionOf(g.request, { volunteer: 1, invitation: OBSERVER }));
    expect(g.heard(1, "leaf-end")).toMatchObject([{ code: "TOKEN_ROLE", mayReturn: false }]);
    expect(g.gateway.status).toMatchObject({ connected: 0, refused: { TOKEN_ROLE: 1 } });
    g.open(2, 1);
    g.coordinator(sessionOf(g.request, { volunteer: 1, invitation: OBSERVER }));
    g.coordinator({ type: "job-status", status: STATUS });
    expect(new Set(g.kinds(2))).toEqual(new Set(["tellLeaf"]));
  });

  it("has a volunteer's rates, silences and ends", () => {
    const g = new TestGateway();
    for (const leaf of [1, 2, 3]) watching(g, leaf);
    for (let i = 0; i <= 2 * LIMITS.gatewayMessagesPerSecond; i++) g.says(1, { type: "heartbeat" });
    g.coordinator({ type: "revoked", volunteer: 2, code: "SESSION_ENDED", reason: "the job is done" });
    g.tick(LIMITS.gatewayHeartbeatMs);
    expect(g.heard(3, "heartbeat")).toHaveLength(1);
    g.says(3, { type: "heartbeat" });
    g.tick(LIMITS.gatewaySilentMs);
    const codes = [1, 2, 3].map((leaf) => g.heard(leaf, "leaf-end").map(({ code }) => code));
    expect(codes).toEqual([["TOO_MANY"], ["SESSION_ENDED"], ["TIMEOUT"]]);
    expect(g.gateway.sizes.leaves).toBe(0);
  });
});
