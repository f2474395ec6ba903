/** What a session needs: one job on one worker, whatever its mode. */
import type { NodeLinks } from "../../client/index.ts";
import type { Dataset } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import type { Sabotages } from "../../sabotage.ts";
import type { Clock, Control, Dialer } from "../../wire/index.ts";
import type { GradientModel } from "../job/gradient-model.ts";

export interface SessionOptions {
  job: number;
  manifest: JobManifest;
  worker: number;
  name: string;
  dataset: Dataset;
  model: GradientModel;
  /** Links to the PS nodes of the newest partition map; the session listens on them and closes them. */
  nodes: NodeLinks;
  coordinator: { send(control: Control): void };
  dialer: Dialer;
  clock: Clock;
  /** A line for people. */
  log(line: string): void;
  sabotages?: Sabotages | undefined;
}
