/**
 * How a client moves rows to and from parameter servers, for benches: plain frames over links, planned once per batch,
 * so that what is timed is the wire and the server, and not the search for unique keys, which a worker does while it
 * computes the step before.
 *
 * All that benches know of frames and links is in this file.
 */
import { PulledRows, Requests } from "@volary/core/client";
import { UniqueKeys, type KeyPlacement, type KeyPlan } from "@volary/core/embedding";
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { partitionFunction, type PartitionMap } from "@volary/core/partition";
import type { TableSpec } from "@volary/core/table";
import { frame, type Control, type Frame, type Link } from "@volary/core/wire";
import { RecycledBuffers } from "@volary/core/wire/websocket";
import { wsDialer } from "@volary/ps-server";

/** As a client of the cluster dials. */
const dialer = wsDialer({ buffers: new RecycledBuffers({ bytesMax: LIMITS.receiveBuffersBytesMax }) });

/** Tables that are open; data, so that it travels to the process of a client. */
export interface OpenTables {
  job: number;
  map: PartitionMap;
  tables: readonly TableSpec[];
}

/**
 * Opens tables, as a job that is never run. They live until `close`.
 *
 * @throws {ClusterError} what the coordinator answered
 */
export async function openTables(
  coordinator: string,
  tables: readonly TableSpec[],
  { seed = 0 }: { seed?: number } = {},
): Promise<{ opened: OpenTables; close: () => void }> {
  const link = await wsDialer().dial(coordinator, { role: "client", name: "bench" });
  const opened = await new Promise<OpenTables>((resolve, reject) => {
    link.listen({
      onControl: (control: Control) => {
        if (control.type === "submitted") resolve({ job: control.job, map: control.map, tables });
        else if (control.type === "error") reject(new Error(`${control.code}: ${control.message}`));
      },
      onFrame: () => {},
      onClose: (reason) => reject(new Error(`the coordinator is gone: ${reason}`)),
    });
    link.sendControl({ type: "submit", manifest: manifestOf(tables, seed) });
  });
  const close = () => {
    link.sendControl({ type: "close-job", job: opened.job });
    link.close("the bench is done");
  };
  return { opened, close };
}

/** Requests for the rows of some keys of one table, in the order of the plan. */
export interface PlannedRows {
  /** Words of the keys, node after node, partition after partition, ascending within, shape [n, 2]. */
  readonly keys: Uint32Array;
  readonly dim: number;
  /** Where the row of each key given begins among the planned rows, in floats, shape [n]. */
  readonly offsets: Uint32Array;
  readonly requests: readonly PlannedRequest[];
}

interface PlannedRequest {
  node: number;
  sections: Pick<Frame, "tables" | "partitions" | "generations" | "counts" | "keys">;
  /** Its rows are floats [from, to) of the planned rows. */
  from: number;
  to: number;
}

export class VolaryRows {
  readonly #opened: OpenTables;
  readonly #links: ReadonlyMap<number, Link>;
  #requests = new Requests();
  readonly #client = Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
  readonly #placement: KeyPlacement;
  readonly #unique = new Map<number, UniqueKeys>();
  #sequence = 0;
  /** Numbers of the pushes that were not answered yet, ascending. */
  readonly #unanswered = new Set<number>();

  /** Use {@link VolaryRows.connect}. */
  constructor(opened: OpenTables, links: ReadonlyMap<number, Link>) {
    this.#opened = opened;
    this.#links = links;
    const { entries, nodes, function: by } = opened.map;
    const places = new Map(nodes.map(({ node }, i) => [node, i]));
    this.#placement = {
      partitionOf: partitionFunction(by, entries.length),
      nodeOf: entries.map(({ chain }) => places.get(chain[0]!)!),
      nodes: nodes.length,
    };
    for (const link of links.values()) {
      link.listen({
        onControl: (control) => void (control.type === "error" && this.#requests.takeError(control)),
        onFrame: (reply) => void this.#requests.takeFrame(reply),
        onClose: (reason) => this.#requests.failLink(link, reason),
      });
    }
  }

  static async connect(opened: OpenTables): Promise<VolaryRows> {
    const { job, map } = opened;
    const links = new Map<number, Link>();
    for (const { node, address } of map.nodes)
      links.set(node, await dialer.dial(address, { role: "client", name: `bench-${process.pid}`, job }));
    return new VolaryRows(opened, links);
  }

  /** The keys of what is asked next travel whole, as those of a batch that is new, and not by name. */
  forgetKeyNames(): void {
    this.#requests = new Requests();
  }

  /**
   * Cuts keys into requests, as a table client does, so that server and client work at the same time.
   *
   * @param keys words of unique keys, shape [n, 2]
   */
  plan(
    table: TableSpec,
    keys: Uint32Array,
    {
      requestRows = Math.max(1, Math.floor(LIMITS.requestFloatsMax / table.dim)),
    }: { requestRows?: number | undefined } = {},
  ): PlannedRows {
    const { nodes } = this.#opened.map;
    const plan = this.#uniqueKeysOf(table).collect({
      keys: [{ keys }],
      samples: keys.length / 2,
      placement: this.#placement,
    });
    const requests = plan.nodes.flatMap((of, i) => this.#cut(of, { table, node: nodes[i]!.node, requestRows }));
    return { keys: joined(plan), dim: table.dim, offsets: plan.offsets, requests };
  }

  /** Reads rows into `rows`, in the order of the plan. */
  async pull({ requests, dim }: PlannedRows, rows: Float32Array): Promise<void> {
    const { job } = this.#opened;
    await Promise.all(
      requests.map(({ node, sections, from, to }) => {
        const pulled = { rows: rows.subarray(from, to), counts: sections.counts, dims: Uint32Array.of(dim) };
        return this.#ask(node, frame({ opcode: "pull", job, ...sections }), new PulledRows(pulled));
      }),
    );
  }

  /** Overwrites rows. */
  async set({ requests }: PlannedRows, rows: Float32Array): Promise<void> {
    const { job } = this.#opened;
    await Promise.all(
      requests.map(({ node, sections, from, to }) =>
        this.#ask(node, frame({ opcode: "set", job, ...sections, values: rows.subarray(from, to) })),
      ),
    );
  }

  /** Pushes gradients, in a thousand requests at most; resolves when the table's optimizer has applied them all. */
  async push({ requests }: PlannedRows, gradients: Float32Array): Promise<void> {
    const { job } = this.#opened;
    const [term, attempt] = [this.#client % 2 ** 32, Math.floor(this.#client / 2 ** 32)];
    await Promise.all(
      requests.map(async ({ node, sections, from, to }) => {
        const values = gradients.subarray(from, to);
        const sequence = ++this.#sequence;
        this.#unanswered.add(sequence);
        const [oldest] = this.#unanswered;
        const name = { term, attempt, step: sequence, cursor: oldest! - 1 };
        try {
          await this.#ask(node, frame({ opcode: "pushDirect", job, ...name, ...sections, values }));
        } finally {
          this.#unanswered.delete(sequence);
        }
      }),
    );
  }

  close(): void {
    for (const link of this.#links.values()) link.close("the bench is done");
  }

  async #ask(node: number, request: Frame, rows?: PulledRows): Promise<void> {
    const reply = await this.#requests.ask(this.#links.get(node)!, request, rows);
    if (reply.partitions.length > 0) throw new ClusterError("STALE_GENERATION", "a partition moved during the bench");
  }

  #uniqueKeysOf({ id, dim }: TableSpec): UniqueKeys {
    let unique = this.#unique.get(id);
    if (!unique) this.#unique.set(id, (unique = new UniqueKeys([{ table: id, dim }])));
    return unique;
  }

  #cut(
    of: KeyPlan["nodes"][number],
    { table, node, requestRows }: { table: TableSpec; node: number; requestRows: number },
  ): PlannedRequest[] {
    const requests: PlannedRequest[] = [];
    let segment = 0;
    let left = of.counts[0] ?? 0;
    for (let at = 0, K = of.keys.length / 2; at < K;) {
      const end = Math.min(K, at + requestRows);
      const partitions: number[] = [];
      const counts: number[] = [];
      for (let taken = at; taken < end;) {
        const count = Math.min(left, end - taken);
        partitions.push(of.partitions[segment]!);
        counts.push(count);
        taken += count;
        left -= count;
        if (left === 0) left = of.counts[++segment] ?? 0;
      }
      const sections = {
        tables: Uint32Array.of(table.id),
        partitions: Uint32Array.from(partitions),
        generations: Uint32Array.from(partitions, (p) => this.#opened.map.entries[p]!.generation),
        counts: Uint32Array.from(counts),
        keys: of.keys.slice(2 * at, 2 * end),
      };
      requests.push({ node, sections, from: of.from + at * table.dim, to: of.from + end * table.dim });
      at = end;
    }
    return requests;
  }
}

function joined({ nodes, uniqueKeys }: KeyPlan): Uint32Array {
  const keys = new Uint32Array(2 * uniqueKeys);
  let at = 0;
  for (const { keys: of } of nodes) {
    keys.set(of, at);
    at += of.length;
  }
  return keys;
}

/** A job that is never run: of all that a manifest says, its tables alone are used. */
function manifestOf(tables: readonly TableSpec[], seed: number): JobManifest {
  return {
    name: "bench",
    seed,
    tables: [...tables],
    model: { embeddings: [], numbers: [], variables: [], outputs: 1 },
    data: { format: { kind: "table" }, files: [{ kind: "file", path: "none" }], fields: {}, badRowsMax: 0 },
    compile: { optimizer: { kind: "none" }, loss: "meanSquaredError", metrics: [] },
    fit: { epochs: 1, batchSize: 1, consistency: { mode: "bsp" }, shuffle: false, validate: "end" },
    workersMin: 1,
  };
}
