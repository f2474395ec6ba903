/**
 * How the gradients of a batch reach the PS: at once, under the name of the batch, so that each partition applies them
 * once however often they are sent; or as a slot of a step, whose leader says whether it counts.
 */
import type { NodeLinks } from "../../client/index.ts";
import { frame, type ControlOf, type Frame } from "../../wire/index.ts";
import type { HeadRequests } from "../rows/head-requests.ts";
import type { RowPlanner, StepRows } from "../rows/step-rows.ts";

/** The gradients of a batch. */
export interface BatchGradients {
  readonly given: ControlOf<"batch">;
  /** Where the row gradients were summed by key. */
  readonly rows: StepRows;
  /** float32, shape [B, E] */
  readonly rowGrads: Float32Array;
  /** float32, all variables in order, where they are rows on the PS. */
  readonly denseGrads: Float32Array | undefined;
}

export interface BatchPush {
  /** Resolves once the PS have them, or once they were sent where it is the leader who answers. */
  push(gradients: BatchGradients): Promise<void>;
  /** The link to a node came back. */
  onUp(node: number): void;
}

/** Applied as they come. */
export class PushAtOnce implements BatchPush {
  readonly #o: { job: number; batchesPerStep: number; planner: RowPlanner; heads: HeadRequests };

  constructor(o: { job: number; batchesPerStep: number; planner: RowPlanner; heads: HeadRequests }) {
    this.#o = o;
  }

  async push({ given, rows: first, rowGrads, denseGrads }: BatchGradients): Promise<void> {
    const { job, batchesPerStep, planner, heads } = this.#o;
    const { batch, settled } = given;
    let rows = first;
    await heads.ask({
      rowsBy: (map) => {
        if (rows.route.heads === map.heads) return rows;
        if (planner.map !== map) planner.adopt(map);
        rows = planner.rowsOf(first.batch);
        rows.scatter(rowGrads, denseGrads);
        return rows;
      },
      frameOf: (of, n) => {
        const push = of.push(n);
        if (push.partitions.length === 0) return undefined;
        const name = { step: batch + 1, cursor: settled, slots: batchesPerStep };
        return frame({ opcode: "pushDirect", job, ...name, ...push });
      },
    });
    rows.settle();
  }

  onUp(): void {}
}

/** Staged as a slot of a step: every PS node gets a frame, an empty one if need be. */
export class PushSlot implements BatchPush {
  readonly #job: number;
  readonly #nodes: NodeLinks;
  /** Sent again where a link was lost, until the next batch begins. */
  #newest: BatchGradients | undefined;

  constructor({ job, nodes }: { job: number; nodes: NodeLinks }) {
    this.#job = job;
    this.#nodes = nodes;
  }

  push(gradients: BatchGradients): Promise<void> {
    // The next step begins when the one before is committed; one that began anew leaves nothing of this slot behind.
    if (this.#newest && this.#newest.given.step < gradients.given.step) this.#newest.rows.settle();
    this.#newest = gradients;
    for (const node of gradients.rows.route.nodes) this.#send(gradients, node);
    return Promise.resolve();
  }

  onUp(node: number): void {
    if (this.#newest) this.#send(this.#newest, node);
  }

  #send({ given, rows }: BatchGradients, node: number): void {
    const n = rows.route.nodes.indexOf(node);
    if (n >= 0) this.#nodes.get(node)?.sendFrame(this.#frameOf(given, rows, n));
  }

  /** Without the number of a request: a refusal is of none of those that wait for an answer. */
  #frameOf({ step, term, slot }: ControlOf<"batch">, rows: StepRows, n: number): Frame {
    const at = { job: this.#job, generation: rows.route.heads, step, attempt: term, term, slot };
    return frame({ opcode: "push", ...at, ...rows.push(n) });
  }
}
