/** What a gateway asks its coordinator: may this secret in? Each question has one answer, if only that none came. */
import type { ClusterErrorCode } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Control, ControlOf } from "@volary/core/wire";
import type { Refusal } from "./effects.ts";

export type SessionAnswer = ControlOf<"session"> | Refusal;

interface Question {
  take: (answer: SessionAnswer) => void;
  /** When it is given up. */
  until: number;
}

export class Questions {
  readonly #open = new Map<number, Question>();
  #next = 1;
  #isConnected = false;

  get size(): number {
    return this.#open.size;
  }

  connected(): void {
    this.#isConnected = true;
  }

  /** Every open question is answered: the coordinator is gone. */
  disconnected(): void {
    this.#isConnected = false;
    for (const request of this.#open.keys()) this.#answer(request, AWAY);
  }

  /**
   * @param ask gives the message for the number of the question
   * @param take is called once; at once where nobody can be asked
   * @returns what to send, if anything
   */
  ask(
    { ask, take }: { ask: (request: number) => Control; take: (answer: SessionAnswer) => void },
    now: number,
  ): Control | undefined {
    if (!this.#isConnected) take(AWAY);
    else if (this.#open.size >= LIMITS.gatewayRequestsMax) {
      take({ code: "TOO_MANY", message: "the gateway has too many requests; try again in a moment" });
    } else {
      const request = this.#next++;
      this.#open.set(request, { take, until: now + LIMITS.gatewayAnswerMs });
      return ask(request);
    }
    return undefined;
  }

  /** An answer of the coordinator; false where it answers nothing that is still asked. */
  take(answer: ControlOf<"session"> | ControlOf<"error">): boolean {
    if (answer.type === "session") return this.#answer(answer.request, answer);
    const { requestId, code, message } = answer;
    return requestId !== undefined && this.#answer(requestId, { code: code as ClusterErrorCode, message });
  }

  /** Gives up what was asked too long ago. */
  tick(now: number): void {
    for (const [request, { until }] of this.#open) if (until <= now) this.#answer(request, LATE);
  }

  #answer(request: number, answer: SessionAnswer): boolean {
    const question = this.#open.get(request);
    this.#open.delete(request);
    question?.take(answer);
    return question !== undefined;
  }
}

const AWAY: Refusal = {
  code: "COORDINATOR_UNAVAILABLE",
  message: "the gateway has lost its coordinator and is looking for it; try again in a few seconds",
};
const LATE: Refusal = { code: "TIMEOUT", message: "the coordinator did not answer in time; try again" };
