/** One PS node for tests, by its messages: what is sent to it is lent, and what it says is kept. */
import type { ConsistencySpec } from "@volary/core/consistency";
import { TableMemory, type TableSpec } from "@volary/core/table";
import type { PartitionMap } from "@volary/core/partition";
import { lend } from "@volary/core/testing";
import {
  decodeFrame,
  encodeFrame,
  frame,
  type Control,
  type ControlOf,
  type ControlType,
  type Frame,
} from "@volary/core/wire";
import { COORDINATOR, type PsEffect } from "../effects.ts";
import { PsNode, type PsNodeOptions } from "../ps-node.ts";

export { COORDINATOR };
export const LEADER = 1;
export const OTHER = 2;
export const JOB = 9;
export const HEADS = 3;

/** Weights after a step are just minus the summed gradients. */
export const TABLE: TableSpec = {
  id: 4,
  name: "items",
  dim: 2,
  initializer: { kind: "zeros" },
  optimizer: { kind: "sgd", learningRate: 1 },
};

/** Node 1 has partitions 0 and 1, node 2 the others. */
export const MAP: PartitionMap = {
  version: 3,
  heads: HEADS,
  partitionsLog2: 2,
  function: { kind: "hash" },
  nodes: [
    { node: 1, name: "ps-1", address: "ws://ps-1:1" },
    { node: 2, name: "ps-2", address: "ws://ps-2:1" },
  ],
  entries: [
    { generation: 5, headSince: 5, chain: [1] },
    { generation: 6, headSince: 6, chain: [1] },
    { generation: 7, headSince: 7, chain: [2] },
    { generation: 8, headSince: 8, chain: [2] },
  ],
};

/** Keys by partition. */
export type Rows = Record<number, readonly number[]>;

/** Keys of each partition, in order, with the generation of the map or another. */
export function sections(rows: Rows, generations: Record<number, number> = {}): Partial<Frame> {
  const partitions = Object.keys(rows).map(Number);
  const keys = partitions.flatMap((p) => [...rows[p]!]);
  return {
    tables: Uint32Array.of(TABLE.id),
    partitions: Uint32Array.from(partitions),
    generations: Uint32Array.from(partitions, (p) => generations[p] ?? MAP.entries[p]!.generation),
    counts: Uint32Array.from(partitions, (p) => rows[p]!.length),
    keys: Uint32Array.from(keys.flatMap((key) => [key, 0])),
  };
}

export function valuesFor(rows: Rows, gradient: number): Float32Array {
  return new Float32Array(Object.values(rows).flat().length * TABLE.dim).fill(gradient);
}

export function controls<T extends ControlType>(
  effects: readonly PsEffect[],
  type: T,
): { link: number; control: ControlOf<T> }[] {
  const is = (control: Control): control is ControlOf<T> => control.type === type;
  return effects.flatMap((e) => (e.kind === "control" && is(e.control) ? [{ link: e.link, control: e.control }] : []));
}

export function frames(effects: readonly PsEffect[]): { link: number; frame: Frame }[] {
  return effects.flatMap((e) => (e.kind === "frame" ? [{ link: e.link, frame: e.frame }] : []));
}

/** The values of all parts of a reply. */
export function valuesOf(effects: readonly PsEffect[]): number[] {
  return frames(effects).flatMap(({ frame: part }) => Array.from(part.values));
}

export const openJob = (job: number, ...tables: TableSpec[]): ControlOf<"open-job"> => ({
  type: "open-job",
  job,
  seed: 1,
  consistency: { mode: "bsp" },
  tables,
});

type StepAt = Omit<ControlOf<"commit">, "type" | "job" | "heads"> & { heads?: number };

/** Nodes that live one after another share it. */
export const MEMORY = new TableMemory();

export class TestNode {
  readonly node: PsNode;
  #out: PsEffect[] = [];
  readonly #effects = { push: (effect: PsEffect) => this.#take(effect) };

  constructor(options: Partial<PsNodeOptions> = {}) {
    this.node = new PsNode({ node: 1, memory: MEMORY, ...options });
    this.say(COORDINATOR, { type: "map", map: MAP });
  }

  say(link: number, control: Control): void {
    this.node.handleControl(link, control, this.#effects);
  }

  /** Its bytes are scribbled over when the node has handled it. */
  send(link: number, fields: Partial<Frame> & { opcode: Frame["opcode"] }): void {
    lend(frame({ job: JOB, ...fields }), (borrowed) => this.node.handleFrame(link, borrowed, this.#effects));
  }

  /** Keeps an effect: a frame as its bytes, whose buffer is then used again. */
  #take(effect: PsEffect): void {
    if (effect.kind !== "frame") {
      this.#out.push(effect);
      return;
    }
    const { kind, link } = effect;
    this.#out.push({ kind, link, frame: decodeFrame(encodeFrame(effect.frame).slice()) });
    effect.onSent?.();
  }

  /** What the node said since the last call. */
  said(): PsEffect[] {
    const all = this.#out;
    this.#out = [];
    return all;
  }

  push(
    link: number,
    at: { step: number; attempt?: number; slot: number; rows: Rows; gradient?: number; heads?: number },
  ): void {
    const { step, attempt = 1, slot, rows, gradient = 1, heads = HEADS } = at;
    this.send(link, {
      opcode: "push",
      requestId: step,
      generation: heads,
      step,
      attempt,
      term: attempt,
      slot,
      ...sections(rows),
      values: valuesFor(rows, gradient),
    });
  }

  pull(
    link: number,
    at: { step: number; term?: number; rows: Rows; generations?: Record<number, number>; heads?: number },
  ): void {
    const { step, term = 1, rows, generations, heads = step === 0 ? 0 : HEADS } = at;
    const fields = { requestId: step, generation: heads, step, term };
    this.send(link, { opcode: "pull", ...fields, ...sections(rows, generations) });
  }

  fence(link: number, { term, heads = HEADS }: { term: number; heads?: number }): void {
    this.say(link, { type: "fence", job: JOB, term, heads });
  }

  start(link: number, at: StepAt & { slots: number; members?: number[] }): void {
    const members = at.members ?? Array.from({ length: at.slots }, (_, i) => i);
    this.say(link, { type: "start", job: JOB, heads: HEADS, ...at, members });
  }

  close(link: number, at: StepAt & { slots: number[]; scale?: number }): void {
    this.say(link, { type: "close", job: JOB, heads: HEADS, scale: 1, ...at });
  }

  commit(link: number, at: StepAt): void {
    this.say(link, { type: "commit", job: JOB, heads: HEADS, ...at });
  }

  begin({ slots, term = 1, step = 1 }: { slots: number; term?: number; step?: number }): void {
    this.fence(LEADER, { term });
    this.start(LEADER, { step, attempt: term, term, slots });
  }

  /** Weights as they are committed now. */
  read(rows: Rows): number[] {
    this.said();
    this.pull(OTHER, { step: 0, rows });
    return valuesOf(this.said());
  }
}

/** A node with {@link JOB} open. */
export function testNode({
  tables = [TABLE],
  consistency = { mode: "bsp" },
  ...options
}: Partial<PsNodeOptions> & { tables?: TableSpec[]; consistency?: ConsistencySpec } = {}): TestNode {
  const t = new TestNode(options);
  t.say(COORDINATOR, { ...openJob(JOB, ...tables), consistency });
  t.said();
  return t;
}
