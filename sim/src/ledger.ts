/**
 * What clients did with plain tables, and what they were told: the only record that is checked against the tables. It
 * is written by the clients' side alone.
 */
import type { PlainName } from "./plain-tables.ts";

export interface Operation {
  readonly number: number;
  readonly kind: "push" | "get" | "set";
  readonly client: string;
  readonly table: PlainName;
  /** Shape [K]. */
  readonly keys: readonly bigint[];
  /** What was pushed or set, or was read: shape [K, dim]. Of a push to a table that counts, ones. */
  values: Float32Array;
  /** A read that any replica may answer. */
  readonly relaxed: boolean;
  /** On the network's clock. */
  readonly beganMs: number;
  /** When its client was told; Infinity before. */
  endedMs: number;
  /** "failed": its client was told that it may have been done, or not. */
  outcome: "open" | "done" | "failed";
}

export class Ledger {
  readonly operations: Operation[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  begin(of: Pick<Operation, "kind" | "client" | "table" | "keys" | "values"> & { relaxed?: boolean }): Operation {
    const operation: Operation = {
      relaxed: false,
      ...of,
      number: this.operations.length,
      beganMs: this.#now(),
      endedMs: Infinity,
      outcome: "open",
    };
    this.operations.push(operation);
    return operation;
  }

  end(operation: Operation, outcome: "done" | "failed"): void {
    operation.endedMs = this.#now();
    operation.outcome = outcome;
  }

  of(kind: Operation["kind"], table: PlainName): Operation[] {
    return this.operations.filter((operation) => operation.kind === kind && operation.table === table);
  }
}

export function describe({ number, kind, client, table, beganMs, endedMs, outcome }: Operation): string {
  return `${kind} ${number} of ${client} to "${table}" (${outcome}, ${beganMs.toFixed(1)} to ${endedMs.toFixed(1)} ms)`;
}
