/** A chain of replicas for tests: what its head does reaches the others as records, or stops where a test says so. */
import { ClusterError } from "../errors.ts";
import type { TableSpec } from "../table/table-spec.ts";
import type { Partition } from "./partition.ts";
import type { DirectPush } from "./push-identities.ts";
import type { Segment } from "./segment.ts";
import { keysOf } from "./test-segment.ts";

export class TestChain {
  head: Partition;
  readonly replicas: Partition[] = [];
  /** What the head refused for want of room. */
  refused = 0;
  readonly #tables: readonly TableSpec[];

  constructor(head: Partition, tables: readonly TableSpec[]) {
    this.head = head;
    this.#tables = tables;
  }

  start(attempt: number): void {
    const { head } = this;
    head.start({ step: head.committed.step + 1, attempt, slots: 2, term: attempt });
    for (const replica of this.replicas) replica.promise(attempt);
  }

  /** One slot of the open step; the last one stages it. */
  receive(slot: number, segment: Segment): void {
    const { head } = this;
    const { attempt, committed } = head;
    if (attempt === undefined || head.staged) return;
    const at = { step: committed.step + 1, attempt };
    if (this.#takenBy(() => head.receive({ ...at, slot, segment })) !== "staged") return;
    const staged = { ...at, slots: head.slots, segment: stagedOf(head, this.#tables) };
    for (const replica of this.replicas) replica.stage(staged);
  }

  commit(): void {
    const { head } = this;
    const { attempt, staged, committed } = head;
    if (attempt === undefined || !staged) return;
    const at = { step: committed.step + 1, attempt };
    const answers = [head.commit({ ...at, term: attempt })];
    for (const replica of this.replicas) answers.push(replica.commit({ ...at, term: 0, records: head.records }));
    if (answers.some((answer) => answer !== "committed")) throw new Error(`commits: ${answers.join(", ")}`);
  }

  pushDirect(push: DirectPush, segment: Segment): void {
    const { head } = this;
    if (!this.#takenBy(() => (head.check(segment), true))) return;
    const outcome = head.pushDirect(push, segment);
    for (const replica of this.replicas) {
      if (!replica.hasApplied(push)) replica.check(segment);
      const other = replica.pushDirect(push, segment, head.records);
      if (other !== outcome) throw new Error(`the head has ${outcome} the push, a replica ${other}`);
    }
  }

  set(segment: Segment): void {
    if (!this.#takenBy(() => (this.head.check(segment), true))) return;
    this.head.set(segment);
    for (const replica of this.replicas) {
      replica.check(segment);
      replica.set(segment);
    }
  }

  /** What the head answers; undefined where it has no room. */
  #takenBy<T>(ask: () => T): T | undefined {
    try {
      return ask();
    } catch (error) {
      if (!(error instanceof ClusterError && error.code === "LIMIT_EXCEEDED")) throw error;
      this.refused += 1;
      return undefined;
    }
  }
}

/** The sums of a step that is staged, as a record carries them. */
export function stagedOf(partition: Partition, tables: readonly TableSpec[]): Segment {
  const { pairs, floats } = partition.stagedSize();
  const [keysAt, valuesAt, countsAt] = [1, 2, 3];
  const into = {
    counts: new Uint32Array(countsAt + tables.length),
    countsAt,
    keys: new Uint32Array(2 * (keysAt + pairs)),
    keysAt,
    values: new Float32Array(valuesAt + floats),
    valuesAt,
  };
  partition.writeStaged(into);
  return { tables: Uint32Array.from(tables, ({ id }) => id), ...into };
}

/** All rows of a partition with their bits, by table and key: a line each. */
export function allRows(partition: Partition, tables: readonly TableSpec[]): string[] {
  const rows: string[] = [];
  for (const { id, dim } of tables) {
    for (let cursor: number | undefined = 0; cursor !== undefined;) {
      const part = partition.export({ table: id, cursor, rowsMax: 100 });
      const weights = new Uint32Array(part.weights.buffer);
      const states = new Uint32Array(part.states.buffer);
      const width = states.length / part.updates.length;
      for (const [i, key] of keysOf(part.keys).entries()) {
        const bits = [weights.subarray(i * dim, (i + 1) * dim), states.subarray(i * width, (i + 1) * width)];
        rows.push(`${id}/${key}: ${bits.join(" ")} ${part.updates[i]} ${part.lastSteps[i]}`);
      }
      cursor = part.next;
    }
  }
  return rows.toSorted();
}
