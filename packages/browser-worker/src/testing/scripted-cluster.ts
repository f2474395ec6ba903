/**
 * A coordinator and its PS nodes that know one script: a job of one worker and one step. They speak the real protocol
 * over real sockets, answer pulls with the rows the tests agree on, and keep what the worker sends them.
 */
import type { Server } from "node:http";
import type { TableClient } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import type { PartitionMap } from "@volary/core/partition";
import { DENSE_TABLE } from "@volary/core/table";
import { readDense, writeDense } from "@volary/core/training";
import { acceptLink, frame, type Control, type Frame, type Link, type Socket } from "@volary/core/wire";
import { WebSocketServer } from "ws";
import { realClock } from "../clock.ts";
import { flightsMap, storedRows } from "./flights-step.ts";

const JOB = 1;
const WORKER = 1;
const TERM = 1;

/** What the worker told while it took the step. */
export interface TrainedStep {
  backend: string;
  lossSum: number;
  /** Of each PS node: the values of the push it got. */
  pushed: Float32Array[];
  /** The dense weights after the step: float32, all variables in order. */
  denseWeights: Float32Array;
}

export interface ScriptedCluster {
  /** ws://host:port of the coordinator */
  address: string;
  /** @throws {Error} what the worker failed with */
  trained: Promise<TrainedStep>;
}

/** Serves the cluster on a listening server; it ends with the server. */
export async function serveScriptedCluster(
  http: Server,
  { manifest, denseWeights }: { manifest: JobManifest; denseWeights: Float32Array },
): Promise<ScriptedCluster> {
  const { port } = http.address() as { port: number };
  const address = `ws://127.0.0.1:${port}`;
  const map = flightsMap((node) => `${address}/ps/${node}`);
  const dense = denseStore();
  await writeDense(dense.client, manifest.model.variables, denseWeights);
  const pushed = new Map<number, Float32Array>();
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
  const trained = new Promise<TrainedStep>((resolve, reject) => {
    const coordinator = new ScriptedCoordinator({
      manifest,
      map,
      trained: async ({ backend, lossSum }) => {
        const weights = await readDense(dense.client, manifest.model.variables);
        resolve({ backend, lossSum, pushed: map.nodes.map(({ node }) => pushed.get(node)!), denseWeights: weights });
      },
      failed: (message) => reject(new Error(message)),
    });
    sockets.on("connection", async (socket, { url = "" }) => {
      const accepted = await acceptLink({
        socket: socket as unknown as Socket,
        name: `scripted ${url}`,
        clock: realClock,
      });
      if (!accepted) return;
      const node = /^\/ps\/(\d+)$/.exec(url)?.[1];
      if (node === undefined) coordinator.serve(accepted.link);
      else
        new ScriptedPsNode({
          manifest,
          dense: dense.rows,
          link: accepted.link,
          pushed: (values) => pushed.set(Number(node), values),
        });
    });
  });
  return { address, trained };
}

interface CoordinatorScript {
  manifest: JobManifest;
  map: PartitionMap;
  trained(told: { backend: string; lossSum: number }): Promise<void>;
  failed(message: string): void;
}

class ScriptedCoordinator {
  readonly #script: CoordinatorScript;
  #backend = "";
  #lossSum = NaN;

  constructor(script: CoordinatorScript) {
    this.#script = script;
  }

  serve(link: Link): void {
    link.listen({
      onControl: (control) => {
        for (const answer of this.#answers(control)) link.sendControl(answer);
      },
      onFrame: ({ opcode }) => this.#script.failed(`the coordinator got a "${opcode}" frame`),
      onClose: (reason) => this.#script.failed(`the worker has left: ${reason}`),
    });
  }

  #answers(control: Control): Control[] {
    const { manifest, map } = this.#script;
    switch (control.type) {
      case "worker-join":
        this.#backend = control.backend;
        return [
          { type: "worker-joined", worker: WORKER },
          { type: "assign", job: JOB, manifest, map },
        ];
      case "ready":
        return [{ type: "term", job: JOB, term: TERM, heads: map.heads, members: [{ worker: WORKER, address: "" }] }];
      case "lease-request":
        return [{ type: "lease", job: JOB, purpose: control.purpose, term: TERM, lease: 1, from: 1, to: 2 }];
      case "progress":
        this.#lossSum = control.commits.at(-1)!.lossSum;
        return [];
      case "trained":
        void this.#script.trained({ backend: this.#backend, lossSum: this.#lossSum });
        return [];
      case "heartbeat":
      case "step-times":
        return [];
      default:
        this.#script.failed(`the coordinator got ${JSON.stringify(control)}`);
        return [];
    }
  }
}

/** Dense variables as a PS holds them: chunks by key. */
type DenseRows = Map<bigint, Float32Array>;

class ScriptedPsNode {
  readonly #manifest: JobManifest;
  readonly #dense: DenseRows;
  readonly #link: Link;
  readonly #pushed: (values: Float32Array) => void;
  #committed = { step: 0, attempt: 0 };
  #parked: Frame[] = [];

  constructor(o: { manifest: JobManifest; dense: DenseRows; link: Link; pushed: (values: Float32Array) => void }) {
    this.#manifest = o.manifest;
    this.#dense = o.dense;
    this.#link = o.link;
    this.#pushed = o.pushed;
    o.link.listen({
      onControl: (control) => this.#onControl(control),
      onFrame: (f) => this.#onFrame(f),
      onClose: () => {},
    });
  }

  #onControl(control: Control): void {
    if (control.type === "fence") {
      this.#link.sendControl({
        type: "promise",
        job: JOB,
        term: control.term,
        heads: control.heads,
        committed: this.#committed,
        whole: true,
      });
    } else if (control.type === "commit") {
      const { step, attempt, heads } = control;
      this.#committed = { step, attempt };
      this.#link.sendControl({ type: "committed", job: JOB, step, attempt, heads });
      for (const pull of this.#parked.splice(0)) this.#onFrame(pull);
    }
  }

  #onFrame(f: Frame): void {
    const reply = { requestId: f.requestId, job: JOB, ...this.#committed, term: f.term };
    if (f.opcode === "push") {
      this.#pushed(f.values);
      this.#link.sendControl({
        type: "staged",
        job: JOB,
        step: f.step,
        attempt: f.attempt,
        heads: f.generation,
      });
    } else if (f.opcode === "set") {
      keysOf(f).forEach((key, i) => this.#dense.set(key, chunk(f.values, i)));
      this.#link.sendFrame(frame({ ...reply, opcode: "setReply" }));
    } else if (f.step > this.#committed.step + 1) {
      this.#parked.push(f);
    } else {
      const values =
        f.tables[0] === DENSE_TABLE.id
          ? joined(keysOf(f).map((key) => this.#dense.get(key)!))
          : storedRows(this.#manifest, f);
      this.#link.sendFrame(frame({ ...reply, opcode: "pullReply", values }));
    }
  }
}

/** The chunks, and what core writes and reads them with. */
function denseStore(): { rows: DenseRows; client: TableClient } {
  const rows: DenseRows = new Map();
  const client: Pick<TableClient, "get" | "set"> = {
    get: async ({ keys }) => joined(Array.from(keys, (key) => rows.get(BigInt(key))!)),
    set: async ({ keys, values }) => {
      for (let i = 0; i < keys.length; i++) rows.set(BigInt(keys[i]!), chunk(values, i));
    },
  };
  return { rows, client: client as TableClient };
}

const chunk = (values: Float32Array, i: number): Float32Array =>
  values.slice(i * DENSE_TABLE.dim, (i + 1) * DENSE_TABLE.dim);

function joined(chunks: readonly Float32Array[]): Float32Array {
  const values = new Float32Array(chunks.length * DENSE_TABLE.dim);
  chunks.forEach((part, i) => values.set(part, i * DENSE_TABLE.dim));
  return values;
}

function keysOf({ keys }: Frame): bigint[] {
  return Array.from({ length: keys.length / 2 }, (_, i) => (BigInt(keys[2 * i + 1]!) << 32n) | BigInt(keys[2 * i]!));
}
