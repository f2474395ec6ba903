/** A gateway without a network: what it is told, and what it does, by name. */
import type { Control, ControlOf, ControlType, JobStatus } from "@volary/core/wire";
import type { GatewayEffect } from "./effects.ts";
import { Gateway } from "./gateway.ts";

export const secretOf = (volunteer: number): string => `session-of-volunteer-${volunteer}`;

export const INVITATION = { text: "{}", signature: "s".repeat(86), publicKey: "k".repeat(43) };

export const REDUCER = { worker: 1, address: "ws://reducer", leaves: 0, leavesMax: 64 };

/** What a coordinator says of a session. */
export function sessionOf(
  request: number,
  o: Partial<Omit<ControlOf<"session">, "type">> & { volunteer: number },
): ControlOf<"session"> {
  return {
    type: "session",
    request,
    session: secretOf(o.volunteer),
    job: 1,
    phase: "training",
    expiresInMs: 3_600_000,
    invitation: INVITATION,
    reducers: [REDUCER],
    ...o,
  };
}

export const STATUS: JobStatus = {
  job: 1,
  name: "demo",
  phase: "training",
  step: 1,
  steps: 10,
  epochs: 1,
  epoch: 0,
  samples: 64,
  loss: 0.5,
  workers: 1,
  term: 1,
  evaluated: 0,
  testRows: 10,
  metrics: null,
  validation: null,
  badRows: { count: 1, first: ["/home/someone/train.csv:17: no number"] },
  trainSeconds: 1,
};

export class TestGateway {
  readonly gateway = new Gateway({ name: "gateway", url: () => "https://volunteers.example" });
  now = 0;
  readonly effects: GatewayEffect[] = [];

  constructor(how: "connected" | "alone" = "connected") {
    if (how === "connected") this.do(this.gateway.coordinatorOpened(this.now));
  }

  /** Remembers effects, and gives them back. */
  do(effects: GatewayEffect[]): GatewayEffect[] {
    this.effects.push(...effects);
    return effects;
  }

  /** The question that the coordinator was asked last. */
  get request(): number {
    const asked = this.told().findLast((control) => control.type === "session-request" || control.type === "redeem");
    return (asked as ControlOf<"redeem">).request;
  }

  coordinator(control: Control): GatewayEffect[] {
    return this.do(this.gateway.coordinatorSays(control, this.now));
  }

  open(leaf: number, volunteer = leaf): GatewayEffect[] {
    return this.do(this.gateway.leafOpened({ leaf, name: "tab", session: secretOf(volunteer) }, this.now));
  }

  says(leaf: number, control: Control): GatewayEffect[] {
    return this.do(this.gateway.leafSays(leaf, { control }, this.now));
  }

  /** A volunteer that is connected to its reducer. */
  join(leaf: number, o: Partial<ControlOf<"session">> & { volunteer: number } = { volunteer: leaf }): GatewayEffect[] {
    this.open(leaf, o.volunteer);
    const effects = this.coordinator(sessionOf(this.request, o));
    return [...effects, ...this.do(this.gateway.reducerOpened(leaf))];
  }

  tick(ms: number): GatewayEffect[] {
    this.now += ms;
    return this.do(this.gateway.tick(this.now));
  }

  /** What the coordinator was told. */
  told(): Control[] {
    return this.effects.flatMap((effect) => (effect.kind === "tellCoordinator" ? [effect.control] : []));
  }

  /** What a volunteer was told, of one type. */
  heard<T extends ControlType>(leaf: number, type: T): ControlOf<T>[] {
    return this.effects.flatMap((effect) =>
      effect.kind === "tellLeaf" && effect.leaf === leaf && "control" in effect.message
        ? effect.message.control.type === type
          ? [effect.message.control as ControlOf<T>]
          : []
        : [],
    );
  }

  kinds(leaf: number): string[] {
    return this.effects.flatMap((effect) => ("leaf" in effect && effect.leaf === leaf ? [effect.kind] : []));
  }
}
