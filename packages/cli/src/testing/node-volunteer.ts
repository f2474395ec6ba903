/** A volunteer without a browser, for tests: joins as a page would, and sends what the test wants instead of gradients. */
import { invitationSchema, parseFragment, type Invitation } from "@volary/core/job";
import { openLeafSession, type GradientModel, type LeafEnd, type StepGradients } from "@volary/core/training";
import type { Link } from "@volary/core/wire";
import { dialer, realClock } from "../cluster/dialer.ts";

/** What a gateway answers. */
export interface Answer {
  status: number;
  body: { code?: string; message?: string; session: string; volunteer: number; invitation: { text: string } };
}

/** Trades a link's token for a session. */
export async function enter(link: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { token } = parseFragment(new URL(link).hash)!;
  const response = await fetch(new URL("/api/join", link), {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ token }),
  });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

export interface NodeVolunteer {
  readonly link: Link;
  readonly accepted: number;
  /** Codes of refused updates, in order. */
  readonly refused: readonly string[];
  readonly closed: Promise<LeafEnd>;
  stop(): void;
}

/** Joins and answers each task with what `gradientsOf` makes of zeros of the right shapes. */
export async function joinWith(
  link: string,
  gradientsOf: (right: StepGradients) => StepGradients,
): Promise<NodeVolunteer> {
  const { body } = await enter(link);
  const invitation: Invitation = invitationSchema.parse(JSON.parse(body.invitation.text));
  const address = `${new URL(link).origin.replace(/^http/, "ws")}/leaf`;
  const to = await dialer.dial(address, { role: "leaf", name: `node ${body.volunteer}`, session: body.session });
  const { manifest } = invitation;
  const denseFloats = manifest.model.variables.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b, 1), 0);
  const model: GradientModel = {
    denseFloats,
    setDense: () => {},
    step: async ({ rows, samples }) =>
      gradientsOf({
        rowGrads: new Float32Array(rows.length),
        denseGrads: new Float32Array(denseFloats),
        lossSum: samples,
      }),
    predict: () => Promise.resolve(new Float32Array(0)),
    dispose: () => {},
  };
  const counts = { accepted: 0, refused: [] as string[] };
  const session = openLeafSession({
    link: to,
    manifest,
    model,
    clock: realClock,
    device: "a test",
    probe: { samples: 16, computeMs: 1 },
    share: () => 1,
    events: {
      onAccepted: () => counts.accepted++,
      onRefused: ({ code }) => counts.refused.push(code),
    },
  });
  return {
    link: to,
    get accepted() {
      return counts.accepted;
    },
    get refused() {
      return counts.refused;
    },
    closed: session.closed,
    stop: () => session.stop(),
  };
}
