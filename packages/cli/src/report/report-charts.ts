/** The curves of a run as charts of its report: training loss, each metric of the held-out rows, samples per second. */
import { clockText, grouped, short } from "@volary/core/figures";
import { niceTicks, rangeOf, smoothed, type Chart } from "./chart.ts";
import type { RunRecord } from "./run-record.ts";

/** More than there are pixels across a page would not be seen. */
const POINTS_MAX = 600;
/** A curve of fewer points is not smoothed. */
const SMOOTHED_FROM = 24;
const METRIC_CHARTS_MAX = 12;
const EPOCH_MARKS_MAX = 30;

/** Only those with something to see: at least two points. */
export function chartsOf(record: RunRecord): Chart[] {
  return [lossChart(record), ...metricCharts(record), speedChart(record)].filter(
    (chart): chart is Chart => chart !== undefined && chart.series[0].points.length > 1,
  );
}

/** A loss or metric with four digits that count. */
export const figureText = (value: number): string =>
  value !== 0 && (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-4)
    ? value.toExponential(3)
    : String(Number(value.toPrecision(4)));

/** Of every evaluation there was; what the job asks for comes before the loss, which is always there. */
export function metricNames({ validations }: RunRecord): string[] {
  const names = [...new Set(validations.flatMap(({ metrics }) => Object.keys(metrics)))];
  return [...names.filter((name) => name !== "loss"), ...names.filter((name) => name === "loss")];
}

function lossChart(record: RunRecord): Chart | undefined {
  const points = record.loss.thinned(POINTS_MAX);
  if (points.length === 0) return undefined;
  const raw = points.map(({ step, mean }) => ({ x: step, y: mean }));
  const values = raw.map(({ y }) => y);
  const reach = points.length < SMOOTHED_FROM ? 0 : Math.ceil(points.length / 50);
  const means = smoothed(values, reach);
  const smooth = raw.map(({ x }, i) => ({ x, y: means[i]! }));
  const perPoint = Math.ceil(stepOf(record) / points.length);
  const yRange = rangeOf({ values, whole: means });
  return {
    ...base(record, "loss", "train"),
    title: "Training loss",
    description: `Mean training loss per sample over ${grouped(stepOf(record))} steps, from ${figureText(means[0]!)} to ${figureText(means.at(-1)!)}.`,
    series:
      reach === 0
        ? [{ name: "loss", shape: "line", points: raw }]
        : [
            { name: perPoint > 1 ? `mean of ${grouped(perPoint)} steps` : "each step", shape: "faint", points: raw },
            { name: `smoothed over ${grouped(perPoint * (2 * reach + 1))} steps`, shape: "line", points: smooth },
          ],
    yRange,
    yText: tickText(yRange),
    readout: (i) =>
      joined([
        placeText(record, points[i]!),
        `loss ${figureText(values[i]!)}`,
        reach === 0 ? "" : `smoothed ${figureText(means[i]!)}`,
      ]),
  };
}

function metricCharts(record: RunRecord): Chart[] {
  return metricNames(record)
    .slice(0, METRIC_CHARTS_MAX)
    .map((name, number) => {
      const all = record.validations.filter(({ metrics }) => Number.isFinite(metrics[name]));
      const validations = all.slice(-POINTS_MAX);
      const values = validations.map(({ metrics }) => metrics[name]!);
      const yRange = rangeOf({ values, whole: values });
      const [low, high] = [Math.min(...values), Math.max(...values)].map(figureText);
      return {
        ...base(record, `metric-${number}`, "held-out"),
        title: `Held-out ${name}`,
        description: `${name} of the held-out rows at ${validations.length} steps, from ${low} to ${high}, at last ${figureText(values.at(-1) ?? NaN)}.`,
        series: [{ name, shape: "dots", points: validations.map(({ step }, i) => ({ x: step, y: values[i]! })) }],
        yRange,
        yText: tickText(yRange),
        readout: (i) => joined([placeText(record, validations[i]!), `${name} ${figureText(values[i]!)}`]),
        note:
          all.length > validations.length
            ? `The last ${validations.length} of ${grouped(all.length)} evaluations.`
            : undefined,
      };
    });
}

function speedChart(record: RunRecord): Chart | undefined {
  const points = record.speed.thinned(POINTS_MAX);
  if (points.length === 0) return undefined;
  const values = points.map(({ mean }) => mean);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    ...base(record, "speed", "speed"),
    title: "Samples per second",
    description: `Samples trained per second over the run, about ${short(mean)} on average, all workers together.`,
    series: [{ name: "samples/s", shape: "area", points: points.map(({ step, mean: y }) => ({ x: step, y })) }],
    yRange: [0, Math.max(...values) || 1],
    yText: roundText,
    readout: (i) => joined([placeText(record, points[i]!), `${short(values[i]!)} samples/s`]),
  };
}

function base(record: RunRecord, id: string, colour: Chart["colour"]) {
  const { epochs = 1, steps = 0 } = record.job ?? {};
  const isMarked = epochs > 1 && epochs <= EPOCH_MARKS_MAX;
  const perEpoch = steps / epochs;
  const xMax = stepOf(record);
  const ends = isMarked ? Array.from({ length: epochs - 1 }, (_, i) => Math.round((i + 1) * perEpoch)) : [];
  return { id, colour, xMax, marks: ends.filter((step) => step < xMax), xText: roundText };
}

/** The last step that is known of. */
function stepOf({ job, loss, validations }: RunRecord): number {
  return Math.max(job?.step ?? 0, loss.points.at(-1)?.step ?? 0, validations.at(-1)?.step ?? 0);
}

/** As many digits as tell the ticks apart. */
function tickText(range: readonly [number, number]): (y: number) => string {
  const [first = 0, second = first + 1] = niceTicks(range, 4);
  const digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(second - first))));
  return (y) => (Math.abs(y) >= 1e4 ? roundText(y) : y.toFixed(digits));
}

/** Of a round number: 40000 → "40 k", not "40.0 k". */
const roundText = (value: number): string =>
  short(value).replace(/(\.\d*?)0+(?= |$)/, (_, kept: string) => (kept === "." ? "" : kept));

const placeText = ({ startedMs }: RunRecord, { step, atMs }: { step: number; atMs: number }): string =>
  `step ${grouped(step)} · ${clockText((atMs - startedMs) / 1000)}`;

const joined = (parts: readonly string[]): string => parts.filter((part) => part !== "").join(" · ");
