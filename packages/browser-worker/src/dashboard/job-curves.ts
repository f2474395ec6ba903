/** What a job's charts show: losses and metrics over steps, from the job's history on, and speed over the time watched. */
import type { JobStatus } from "@volary/core/wire";
import { Curve } from "../ui/curve.ts";

/** Speed is the mean over so much time at least: steps of a slow job come seconds apart. */
const SPEED_OVER_MS = 5_000;

export class JobCurves {
  /** Mean training loss per sample. */
  readonly loss = new Curve();
  /** Of held-out rows, by name; "loss" is one of them. */
  readonly metrics = new Map<string, Curve>();
  /** Samples per second, over seconds since the job was first seen. */
  readonly speed = new Curve();
  #firstMs: number | undefined;
  /** Samples of the job at times within the last {@link SPEED_OVER_MS}, and the newest before it. */
  #samples: { ms: number; samples: number }[] = [];

  /** Takes the news of a job that is watched. */
  addNews({ news }: JobStatus): void {
    for (const { step, loss, samples } of news?.steps ?? []) this.loss.add({ step, value: loss, weight: samples });
    for (const { step, metrics } of news?.validations ?? []) {
      for (const [name, value] of Object.entries(metrics)) this.#metric(name).add({ step, value });
    }
  }

  /** Takes a status that was asked for at `nowMs`, of any clock that goes on. */
  addStatus({ phase, samples }: JobStatus, nowMs: number): void {
    if (phase !== "training") {
      this.#samples = [];
      return;
    }
    this.#firstMs ??= nowMs;
    this.#samples.push({ ms: nowMs, samples });
    while (this.#samples.length > 2 && this.#samples[1]!.ms <= nowMs - SPEED_OVER_MS) this.#samples.shift();
    const speed = this.samplesPerSecond;
    if (speed !== undefined) this.speed.add({ step: (nowMs - this.#firstMs) / 1000, value: speed });
  }

  /** Of the last seconds; undefined while it is not known, or the job does not train. */
  get samplesPerSecond(): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last || last.ms <= first.ms) return undefined;
    return Math.max(0, (1000 * (last.samples - first.samples)) / (last.ms - first.ms));
  }

  #metric(name: string): Curve {
    let curve = this.metrics.get(name);
    if (!curve) this.metrics.set(name, (curve = new Curve()));
    return curve;
  }
}
