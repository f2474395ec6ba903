/** Whatever comes, in whatever order: nothing passes without a session, what ends stays ended, every refusal counts once. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { frame, type Control } from "@volary/core/wire";
import type { GatewayEffect } from "./effects.ts";
import { INVITATION, REDUCER, secretOf, sessionOf, TestGateway } from "./test-gateway.ts";

const LEAVES = 6;
const VOLUNTEERS = 3;
/** One of them only watches: no reducer may hear of it. */
const OBSERVER = 3;
const WATCHES = { ...INVITATION, text: JSON.stringify({ role: "observer" }) };

const leaf = fc.integer({ min: 1, max: LEAVES });
const volunteer = fc.integer({ min: 1, max: VOLUNTEERS });
const event = fc.oneof(
  fc.record({ kind: fc.constant("open" as const), leaf, volunteer }),
  fc.record({
    kind: fc.constant("enter" as const),
    volunteer,
    by: fc.constantFrom("token" as const, "session" as const),
  }),
  fc.record({
    kind: fc.constant("answer" as const),
    volunteer,
    isKnown: fc.boolean(),
    reducers: fc.integer({ min: 0, max: 2 }),
  }),
  fc.record({
    kind: fc.constant("leafSays" as const),
    leaf,
    what: fc.constantFrom("leaf-ready", "stop-job", "frame", "pull"),
  }),
  fc.record({ kind: fc.constant("leafClosed" as const), leaf, isSlow: fc.boolean() }),
  fc.record({
    kind: fc.constant("reducer" as const),
    leaf,
    what: fc.constantFrom("opened", "failed", "closed", "task", "end"),
  }),
  fc.record({ kind: fc.constant("revoked" as const), volunteer }),
  fc.record({ kind: fc.constant("coordinator" as const), isThere: fc.boolean() }),
  fc.record({
    kind: fc.constant("tick" as const),
    ms: fc.constantFrom(1, 1_000, LIMITS.gatewayAnswerMs, LIMITS.gatewaySilentMs),
  }),
);
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** A gateway, and what must be true of it. */
class Watched {
  readonly g = new TestGateway();
  /** Session by connection, for those that are open. */
  readonly open = new Map<number, string>();
  /** Questions that are open: what was asked for, by number. */
  readonly asked = new Map<number, string>();
  /** Connections of volunteers for which the coordinator has vouched. */
  readonly vouched = new Set<number>();
  readonly requests = new Set<number>();
  #request = 0;
  #isThere = true;

  run(e: Event): void {
    const { gateway } = this.g;
    const before = this.refused();
    const effects = this.#step(e);
    if (!effects) return;
    let refusals = 0;
    for (const effect of effects) {
      if ("leaf" in effect && effect.kind !== "closeReducer") {
        const mayBeToldOf = this.open.has(effect.leaf);
        expect(mayBeToldOf, `${effect.kind} of ${effect.leaf}, which is closed`).toBe(true);
      }
      if (effect.kind === "dialReducer" || effect.kind === "tellReducer") {
        expect(this.vouched.has(effect.leaf), `${effect.kind} without a session of a volunteer`).toBe(true);
      }
      if (effect.kind === "closeLeaf") {
        this.#forget(effect.leaf);
        refusals++;
      } else if (effect.kind === "answer") {
        expect(this.requests.delete(effect.request), "an answer that nobody waits for").toBe(true);
        if ("code" in effect.answer) refusals++;
      } else if (effect.kind === "tellCoordinator") this.#hear(effect.control);
    }
    const more = this.refused() - before;
    const answers = effects.filter((one) => one.kind === "answer" && "code" in one.answer).length;
    expect(more).toBeGreaterThanOrEqual(answers);
    expect(more).toBeLessThanOrEqual(refusals + (e.kind === "leafClosed" && e.isSlow ? 1 : 0));
    expect(gateway.sizes.leaves).toBe(this.open.size);
    expect(gateway.status.connected).toBeLessThanOrEqual(this.open.size);
    expect(gateway.sizes.tries).toBeLessThanOrEqual(2 * LIMITS.gatewayTriesKept);
  }

  refused(): number {
    return Object.values(this.g.gateway.status.refused).reduce((sum, times) => sum + times, 0);
  }

  #step(e: Event): GatewayEffect[] | undefined {
    const { g } = this;
    const { gateway } = g;
    switch (e.kind) {
      case "open":
        if (this.open.has(e.leaf)) return undefined;
        this.open.set(e.leaf, secretOf(e.volunteer));
        return g.open(e.leaf, e.volunteer);
      case "enter":
        this.requests.add(++this.#request);
        return gateway.enter({ request: this.#request, by: e.by, secret: secretOf(e.volunteer) }, g.now);
      case "answer": {
        const [request, session] = [...this.asked].find(([, secret]) => secret === secretOf(e.volunteer)) ?? [];
        if (request === undefined) return undefined;
        this.asked.delete(request);
        if (!e.isKnown)
          return g.coordinator({ type: "error", requestId: request, code: "SESSION_ENDED", message: "no" });
        const isObserver = e.volunteer === OBSERVER;
        for (const [id, secret] of this.open) if (secret === session && !isObserver) this.vouched.add(id);
        const reducers = Array.from({ length: e.reducers }, (_, i) => ({ ...REDUCER, worker: i + 1 }));
        const invitation = isObserver ? WATCHES : INVITATION;
        return g.coordinator(sessionOf(request, { volunteer: e.volunteer, reducers, invitation }));
      }
      case "leafSays": {
        if (e.what === "frame" || e.what === "pull") {
          const opcode = e.what === "pull" ? "pull" : "leafRowGradients";
          return gateway.leafSays(e.leaf, { frame: frame({ opcode }) }, g.now);
        }
        return g.says(e.leaf, e.what === "leaf-ready" ? { type: "leaf-ready" } : { type: "stop-job", job: 1 });
      }
      case "leafClosed":
        this.#forget(e.leaf);
        return gateway.leafClosed(e.leaf, e.isSlow ? "SLOW_READER" : undefined);
      case "reducer":
        return this.#reducer(e);
      case "revoked":
        return g.coordinator({ type: "revoked", volunteer: e.volunteer, code: "UPDATE_DIFFERS", reason: "caught" });
      case "coordinator":
        if (e.isThere === this.#isThere) return undefined;
        this.#isThere = e.isThere;
        if (!e.isThere) this.asked.clear();
        return e.isThere ? gateway.coordinatorOpened(g.now) : gateway.coordinatorClosed();
      default:
        return g.tick(e.ms);
    }
  }

  /** A reducer acts only where one was dialed. */
  #reducer({ leaf: id, what }: Event & { kind: "reducer" }): GatewayEffect[] | undefined {
    const { gateway } = this.g;
    if (!this.vouched.has(id)) return undefined;
    const task: Control = { type: "leaf-task", task: 1, step: 1, samples: 1, globalSamples: 1, weighted: false };
    if (what === "opened") return gateway.reducerOpened(id);
    if (what === "failed") return gateway.reducerFailed(id);
    if (what === "closed") return gateway.reducerClosed(id);
    if (what === "task") return gateway.reducerSays(id, { control: task });
    return gateway.reducerSays(id, {
      control: { type: "leaf-end", code: "UPDATE_NORM", message: "", mayReturn: false },
    });
  }

  #hear(control: Control): void {
    if (control.type === "redeem") this.asked.set(control.request, control.token);
    if (control.type === "session-request") this.asked.set(control.request, control.session);
  }

  #forget(id: number): void {
    this.open.delete(id);
    this.vouched.delete(id);
  }
}

it("nothing passes without a session, no end is followed by more, every refusal counts once, and all is forgotten", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), (events) => {
      const watched = new Watched();
      for (const e of events) watched.run(e);
      for (let id = 1; id <= LEAVES; id++) watched.run({ kind: "leafClosed", leaf: id, isSlow: false });
      watched.run({ kind: "tick", ms: LIMITS.gatewayAnswerMs });
      expect(watched.g.gateway.sizes).toMatchObject({ leaves: 0, questions: 0 });
      expect(watched.requests.size).toBe(0);
      expect(watched.g.gateway.status.connected).toBe(0);
    }),
    { numRuns: 300, seed: 7 },
  );
});
