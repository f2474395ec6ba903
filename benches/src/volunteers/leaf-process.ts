/** A volunteer as a program of its own: it dials a worker as a gateway does, and helps until that ends its session. */
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import type { JobManifest } from "@volary/core/job";
import { openModel } from "@volary/core/model";
import { Plugins } from "@volary/core/plugin";
import { openLeafSession } from "@volary/core/training";
import type { Link } from "@volary/core/wire";
import { openDevice, realClock, wsDialer } from "@volary/node-worker";
import { FrameBytes } from "../modes/counted-link.ts";

/** What this process is started with. */
export interface LeafProcessRequest {
  /** Of the worker. */
  worker: string;
  volunteer: number;
  job: number;
  /** Of the job's manifest. */
  file: string;
}

/** What it says in the end. */
export interface LeafProcessResult {
  /** In updates that count. */
  samples: number;
  /** Of frames, both ways. */
  bytes: number;
}

/** The worker opens its job meanwhile. */
const RETRY_MS = 20;

const { worker, volunteer, job, file } = JSON.parse(process.argv[2]!) as LeafProcessRequest;
const manifest = JSON.parse(await readFile(file, "utf8")) as JobManifest;
const device = await openDevice("wasm");
const model = await openModel(manifest, Plugins.none);
console.log(JSON.stringify({ ready: true }));
const bytes = new FrameBytes();
let samples = 0;
const session = openLeafSession({
  link: bytes.through(await dialed()),
  manifest,
  model,
  clock: realClock,
  device: device.description,
  probe: { samples: 64, computeMs: 10 },
  share: () => 1,
  events: {
    onAccepted: (accepted) => {
      samples += accepted.samples;
    },
  },
});
await session.closed;
const result: LeafProcessResult = {
  samples,
  bytes:
    bytes.sentOf(["leafRowGradients", "leafDenseGradients"]) +
    bytes.receivedOf(["leafDense", "leafRows", "leafInputs"]),
};
console.log(JSON.stringify({ result }));
model.dispose();
process.exit(0);

async function dialed(): Promise<Link> {
  const dialer = wsDialer({ trustedNetwork: true });
  const hello = { role: "leaf", name: `volunteer-${volunteer}`, id: volunteer, job } as const;
  for (;;) {
    const link = await dialer.dial(worker, hello).catch(() => undefined);
    if (link) return link;
    await setTimeout(RETRY_MS);
  }
}
