/**
 * What a person sees of a job that trains, as pure functions: news → state → lines of text. Putting lines on a
 * terminal is `progress-screen.ts`.
 */
import { bytesText, clockText, grouped, plural, short } from "@volary/core/figures";
import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import { batchesTexts } from "./batches-text.ts";
import { sparkline } from "./sparkline.ts";
import { cutText, plainText, widthOf } from "./terminal-text.ts";

export interface ProgressState {
  readonly job: JobStatus | undefined;
  /** When the job's phase began. */
  readonly sinceMs: number;
  readonly cluster: ClusterStatus | undefined;
  /** Loss over the steps so far, thinned to at most {@link LOSSES_MAX} values. */
  readonly losses: readonly number[];
  /** Every how many steps a loss is kept. */
  readonly lossEvery: number;
  /** Recent (training time, samples), for the speed right now. */
  readonly marks: readonly Mark[];
}

interface Mark {
  /** Seconds of training, without the pauses for evaluation. */
  readonly trainSeconds: number;
  readonly samples: number;
}

/** Text with a style; only the style goes where there is no colour. */
export type Span = readonly [text: string, style?: Style];
export type Style = "bold" | "dim" | "green" | "red" | "cyan";
export type Line = readonly Span[];

const LOSSES_MAX = 64;
const SPARKS_MAX = 24;
const BAR_MAX = 32;
/** A shorter line of sparks says nothing. */
const SPARKS_LEAST = 6;
/** The speed is that of the last few seconds of training. */
const SPEED_SECONDS = 5;
const MARK_SECONDS = 0.25;

export const newProgress: ProgressState = {
  job: undefined,
  sinceMs: 0,
  cluster: undefined,
  losses: [],
  lossEvery: 1,
  marks: [],
};

/** Takes in what the coordinator said of the job. */
export function withJob(state: ProgressState, job: JobStatus, nowMs: number): ProgressState {
  const same = state.job?.job === job.job ? state : { ...newProgress, cluster: state.cluster };
  const sinceMs = same.job?.phase === job.phase ? same.sinceMs : nowMs;
  return {
    ...same,
    job,
    sinceMs,
    ...lossesWith(same, job),
    marks: marksWith(same.marks, job),
  };
}

/** Takes in what the coordinator said of the cluster. */
export const withCluster = (state: ProgressState, cluster: ClusterStatus): ProgressState => ({ ...state, cluster });

/** Samples per second over the last few seconds of training. */
export function speedOf({ marks }: ProgressState): number {
  const first = marks[0];
  const last = marks.at(-1);
  if (!first || !last || last.trainSeconds <= first.trainSeconds) return 0;
  return (last.samples - first.samples) / (last.trainSeconds - first.trainSeconds);
}

/** The block of lines that a terminal shows and redraws. */
export function progressLines(state: ProgressState, { columns, nowMs }: { columns: number; nowMs: number }): Line[] {
  const { job } = state;
  if (!job) return [];
  const lines = [headline(job, phaseText(state, job, nowMs), columns)];
  if ((job.phase === "training" || job.phase === "evaluating") && job.step > 0)
    lines.push(trainingLine(state, job, columns), ...batchesLines(job));
  const cluster = clusterLine(state, job);
  if (cluster) lines.push(cluster);
  return lines.map((line) => cut(line, columns));
}

/** The same in one line, for a log. */
export function progressLogLine(state: ProgressState, { nowMs }: { nowMs: number }): string {
  const { job } = state;
  if (!job) return "";
  const parts = [`${plainText(job.name)}: ${phaseText(state, job, nowMs)}`];
  if (job.phase === "training" && job.step > 0) {
    const speed = speedOf(state);
    parts.push(`loss ${lossText(job.loss)}`);
    const held = validationOf(job);
    if (held) parts.push(`${held.text} at step ${grouped(held.step)}`);
    parts.push(`${short(speed)} samples/s`, timesText(job, speed), ...batchesTexts(job));
  }
  const cluster = clusterLine(state, job);
  if (cluster) parts.push(textOf(cluster).trim());
  return parts.join(", ");
}

/** What stays when the job is done. */
export function resultLines(job: JobStatus): Line[] {
  const { samples, trainSeconds, metrics, testRows, badRows, message } = job;
  const speed = trainSeconds > 0 ? samples / trainSeconds : 0;
  const trained: Line = [
    [plainText(job.name), "bold"],
    [`  trained on ${short(samples)} samples in ${clockText(trainSeconds)} (${short(speed)} samples/s)`],
  ];
  const notes: Line[] = [
    ...(message === undefined ? [] : [plainText(message)]),
    ...(badRows.count === 0
      ? []
      : [
          `${plural(badRows.count, "bad row")} left out${badRows.first[0] ? `, as ${plainText(badRows.first[0])}` : ""}`,
        ]),
  ].map((text) => [[`  ${text}`, "dim"]]);
  const held = Object.entries(metrics ?? {});
  if (held.length === 0)
    return [trained, ...batchesLines(job), ...notes, [["  no rows were held out, so nothing was evaluated", "dim"]]];
  const figures = held.map(([metric, value]) => `${metric} ${value.toFixed(4)}`).join("   ");
  return [
    trained,
    ...batchesLines(job),
    ...notes,
    [
      ["  held out  ", "dim"],
      [figures, "green"],
      [`   on ${plural(testRows, "row")}`, "dim"],
    ],
  ];
}

/** A line as text, with ANSI styles where there is colour. */
export function lineText(line: Line, { colour }: { colour: boolean }): string {
  return line.map(([text, style]) => (colour && style ? `${ANSI[style]}${text}\u001b[0m` : text)).join("");
}

const ANSI: Record<Style, string> = {
  bold: "\u001b[1m",
  dim: "\u001b[2m",
  green: "\u001b[32m",
  red: "\u001b[31m",
  cyan: "\u001b[36m",
};

function headline(job: JobStatus, text: string, columns: number): Line {
  const share = job.phase === "evaluating" ? ratio(job.evaluated, job.testRows) : ratio(job.step, job.steps);
  const hasBar = job.phase === "training" || job.phase === "evaluating";
  const name = plainText(job.name);
  const room = Math.min(BAR_MAX, columns - widthOf(name) - text.length - 5);
  if (!hasBar || room < 8) return [[name, "bold"], [`  ${text}`]];
  const full = Math.round(share * room);
  return [[name, "bold"], ["  "], ["█".repeat(full), "cyan"], ["░".repeat(room - full), "dim"], [`  ${text}`]];
}

function phaseText({ cluster, sinceMs }: ProgressState, job: JobStatus, nowMs: number): string {
  switch (job.phase) {
    case "preparing":
      return "sending the first weights";
    case "waiting":
      if (cluster?.workers.length === 0) return "waits for a worker; start one with `volary worker`";
      return `workers read their data (${clockText((nowMs - sinceMs) / 1000)})`;
    case "training":
      return `${epochText(job)}step ${grouped(job.step)} of ${grouped(job.steps)} (${percent(ratio(job.step, job.steps))})`;
    case "evaluating":
      return `evaluating ${grouped(job.evaluated)} of ${plural(job.testRows, "held-out row")}`;
    case "done":
      return "done";
    case "failed":
    case "stopped":
      return `${job.phase}${job.message === undefined ? "" : `: ${plainText(job.message)}`}`;
    default:
      return job.phase satisfies never;
  }
}

const epochText = ({ epochs, epoch }: JobStatus): string => (epochs === 1 ? "" : `epoch ${epoch + 1} of ${epochs}, `);

/** The fullest of some versions that fits; what room it leaves is for the sparks. */
function trainingLine(state: ProgressState, job: JobStatus, columns: number): Line {
  const speed = speedOf(state);
  const held = validationOf(job);
  const metric = held ? [held.text] : [];
  const metricAt = held ? [`${held.text} at step ${grouped(held.step)}`] : [];
  const speedText = `${short(speed)} samples/s`;
  const left = leftText(job, speed);
  const versions = [
    [...metricAt, speedText, timesText(job, speed)],
    [...metricAt, speedText, ...left],
    [...metric, speedText, ...left],
    [...metric, ...left],
    metric,
  ].map((parts) => parts.map((part) => `  ${part}`).join(""));
  const loss = lossText(job.loss);
  const room = columns - 1 - `  loss ${loss}`.length;
  const text = versions.find(({ length }) => length <= room) ?? "";
  const sparks = Math.min(SPARKS_MAX, room - text.length - 2);
  return [
    ["  loss "],
    [loss, "bold"],
    ...(sparks < SPARKS_LEAST ? [] : ([["  "], [sparkline(thin(state.losses, sparks)), "cyan"]] satisfies Line)),
    [text],
  ];
}

/** The first metric of the newest evaluation, as "val_auc 0.8123"; the loss only where there is nothing else. */
function validationOf({ validation }: JobStatus): { text: string; step: number } | undefined {
  const metrics = Object.entries(validation?.metrics ?? {});
  const first = metrics.find(([name]) => name !== "loss") ?? metrics[0];
  return first && validation ? { text: `val_${first[0]} ${first[1].toFixed(4)}`, step: validation.step } : undefined;
}

const timesText = (job: JobStatus, speed: number): string =>
  [`${clockText(job.trainSeconds)} elapsed`, ...leftText(job, speed)].join(", ");

/** As "0:33 left", without later evaluations; nothing before there is a speed. */
function leftText(job: JobStatus, speed: number): string[] {
  const perStep = job.step > 0 ? job.samples / job.step : 0;
  return speed > 0 ? [`${clockText(((job.steps - job.step) * perStep) / speed)} left`] : [];
}

/** One line, where the coordinator gives out batches. */
function batchesLines(job: JobStatus): Line[] {
  const texts = batchesTexts(job);
  return texts.length === 0 ? [] : [[[`  ${texts.join(", ")}`, "dim"]]];
}

function clusterLine({ cluster }: ProgressState, job: JobStatus): Line | undefined {
  if (!cluster) return undefined;
  const rows = cluster.nodes.reduce((sum, node) => sum + node.rows, 0);
  const bytes = cluster.nodes.reduce((sum, node) => sum + node.bytes, 0);
  const working = cluster.workers.filter((worker) => worker.job === job.job);
  const backends = [...new Set(working.map(({ backend }) => backend.split(" ")[0]))].filter(Boolean).join(", ");
  const workers = `${plural(working.length, "worker")}${backends ? ` on ${backends}` : ""}`;
  return [
    [`  ${workers}, ${plural(cluster.nodes.length, "PS node")} with ${short(rows)} rows, ${bytesText(bytes)}`, "dim"],
  ];
}

const lossText = (loss: number | null): string => (loss === null ? "–" : loss.toPrecision(4));
const percent = (share: number): string => `${Math.floor(share * 100)} %`;
const ratio = (part: number, whole: number): number => (whole > 0 ? Math.min(1, part / whole) : 0);
const textOf = (line: Line): string => line.map(([text]) => text).join("");

/** Keeps every loss until there are too many, then every second, every fourth, … */
function lossesWith(state: ProgressState, job: JobStatus): Pick<ProgressState, "losses" | "lossEvery"> {
  const { losses, lossEvery } = state;
  if (job.loss === null || job.step < losses.length * lossEvery || job.step === state.job?.step)
    return { losses, lossEvery };
  const more = [...losses, job.loss];
  if (more.length < LOSSES_MAX) return { losses: more, lossEvery };
  return { losses: more.filter((_, i) => i % 2 === 0), lossEvery: lossEvery * 2 };
}

function marksWith(marks: readonly Mark[], { trainSeconds, samples }: JobStatus): readonly Mark[] {
  const before = marks.at(-2);
  // The newest mark is replaced until it is old enough to stay.
  const kept = before && trainSeconds - before.trainSeconds < MARK_SECONDS ? marks.slice(0, -1) : marks;
  const recent = kept.filter((mark, i) => trainSeconds - mark.trainSeconds <= SPEED_SECONDS || i === kept.length - 1);
  return [...recent, { trainSeconds, samples }];
}

/** At most `countMax` means of neighbours. */
function thin(values: readonly number[], countMax: number): number[] {
  const count = Math.min(countMax, values.length);
  return Array.from({ length: count }, (_, i) => {
    const group = values.slice(Math.floor((i * values.length) / count), Math.floor(((i + 1) * values.length) / count));
    return group.reduce((sum, value) => sum + value, 0) / group.length;
  });
}

/** A line that does not wrap: a wrapped one would be redrawn in the wrong place. */
function cut(line: Line, columns: number): Line {
  let room = columns - 1;
  return line.flatMap(([text, style]): Line => {
    const shown = cutText(text, room);
    room -= widthOf(shown);
    return shown === "" ? [] : [style === undefined ? [shown] : [shown, style]];
  });
}
