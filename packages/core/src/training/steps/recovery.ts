/**
 * How a new leader recovers (ARCHITECTURE.md, "A step is a transaction"): it fences all nodes, and when each has
 * promised it knows the newest step that any partition has committed. If that is not all partitions, it is finished
 * on the others under the new term. Then the next step may start.
 */
import { assert } from "../../errors.ts";
import type { Attempt, NodeMessage, PromiseEvent } from "./step-events.ts";

export class Recovery {
  readonly #term: number;
  readonly #nodes: readonly number[];
  readonly #promises = new Map<number, PromiseEvent>();
  /** Set while a step that some partitions committed is being finished on the others. */
  #finishing: Attempt | undefined;
  readonly #finishedBy = new Set<number>();

  /** @param nodes that are to promise `term` */
  constructor({ term, nodes }: { term: number; nodes: readonly number[] }) {
    this.#term = term;
    this.#nodes = nodes;
  }

  /** What `node` has not answered yet, or undefined. */
  unanswered(node: number): NodeMessage | undefined {
    const term = this.#term;
    if (this.#finishing) {
      return this.#finishedBy.has(node) ? undefined : { kind: "send-commit", node, term, ...this.#finishing };
    }
    return this.#promises.has(node) ? undefined : { kind: "send-fence", node, term };
  }

  /** @returns what to send next, and the step that all partitions have committed as soon as that is known */
  promised(event: PromiseEvent): { send: NodeMessage[]; recovered?: Attempt } {
    if (event.term !== this.#term || this.#finishing) return { send: [] };
    this.#promises.set(event.node, event);
    if (this.#promises.size < this.#nodes.length) return { send: [] };
    const promises = [...this.#promises.values()];
    const newest = promises.map(({ committed }) => committed).reduce((a, b) => (b.step > a.step ? b : a));
    assert(
      promises.every(({ committed, whole }) => committed.step >= newest.step - (whole ? 1 : 0)),
      `partitions differ by more than one committed step: ${JSON.stringify(promises)}`,
    );
    for (const { node, committed, whole } of promises) {
      if (whole && committed.step === newest.step) this.#finishedBy.add(node);
    }
    if (this.#finishedBy.size === this.#nodes.length) return { send: [], recovered: newest };
    this.#finishing = newest;
    // To all: a commit that comes again changes nothing.
    return { send: this.#nodes.map((node) => ({ kind: "send-commit", node, term: this.#term, ...newest })) };
  }

  /** @returns the step, once all partitions have committed it */
  committed({ node, step, attempt }: { node: number } & Attempt): Attempt | undefined {
    if (this.#finishing?.step !== step || this.#finishing.attempt !== attempt) return undefined;
    this.#finishedBy.add(node);
    return this.#finishedBy.size === this.#nodes.length ? { step, attempt } : undefined;
  }
}
