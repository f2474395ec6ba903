/** What a page and the Web Worker that computes for it tell each other. */
import type { JobManifest } from "@volary/core/job";
import type { LeafEnd, LeafPause } from "@volary/core/training";
import type { JobStatus } from "@volary/core/wire";
import type { DeviceName } from "../device/device.ts";
import type { Traffic } from "../dial.ts";

/** What a page posts to its Web Worker. */
export type PageMessage =
  | {
      type: "start";
      /** wss://host/leaf */
      gateway: string;
      session: string;
      /** For people. */
      name: string;
      manifest: JobManifest;
      /** The only device that will do; by default the fastest that works. */
      device?: DeviceName | undefined;
      /** Devices that were lost too often in this tab. */
      without?: readonly DeviceName[] | undefined;
      /** Of the time, in (0, 1]. */
      share: number;
      pause?: LeafPause | undefined;
      /** The person allows to connect to other volunteers. `port`: to the page's data channels, where it has some. */
      group?: { job: number; volunteer: number; port: MessagePort | undefined } | undefined;
    }
  | { type: "share"; share: number }
  /** No task after the one under way; undefined lifts it. */
  | { type: "pause"; reason: LeafPause | undefined }
  /** The network came back, or the tab woke up: what waits to connect does so now. */
  | { type: "hurry" }
  /** Ends at once; the last message comes then. */
  | { type: "stop" };

/** What the Web Worker posts back. */
export type WorkerMessage =
  | { type: "device"; device: DeviceName; description: string; samples: number; computeMs: number }
  | { type: "connecting" }
  | { type: "connected" }
  | { type: "task"; samples: number }
  | { type: "computed"; samples: number; computeMs: number; traffic: Traffic }
  | { type: "accepted"; samples: number; stepSamples: number }
  | { type: "refused"; code: string; message: string }
  | { type: "status"; status: JobStatus; traffic: Traffic }
  | { type: "log"; message: string }
  /** The last one. `fresh`: a new Web Worker may go on, where this one has lost its device. */
  | ({ type: "ended"; fresh: boolean } & LeafEnd);
