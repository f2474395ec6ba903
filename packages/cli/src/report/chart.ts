/**
 * A line chart as HTML: the curves are inline SVG that stretches to any width, the labels are text over it that does
 * not. Whoever cannot see it has its description and the numbers in a table; `chart-script.ts` adds the readouts.
 */
import { markup, type HtmlPart, type Html } from "./markup.ts";

export interface ChartPoint {
  readonly x: number;
  readonly y: number;
}

export interface ChartSeries {
  readonly name: string;
  /** `faint`: behind the others, such as what a smoothed line smooths. */
  readonly shape: "line" | "faint" | "dots" | "area";
  readonly points: readonly ChartPoint[];
}

export interface Chart {
  /** Unique on its page. */
  readonly id: string;
  readonly title: string;
  /** A sentence for whoever cannot see it. */
  readonly description: string;
  readonly colour: "train" | "held-out" | "speed";
  /** Of one or more points; the first one's are those that a readout names. */
  readonly series: readonly [ChartSeries, ...ChartSeries[]];
  /** Where the horizontal axis ends; it begins at 0. */
  readonly xMax: number;
  readonly yRange: readonly [low: number, high: number];
  /** Marks on the horizontal axis, such as ends of epochs. */
  readonly marks: readonly number[];
  /** The readout at a point of the first series, by its number. */
  readonly readout: (point: number) => string;
  readonly xText: (x: number) => string;
  readonly yText: (y: number) => string;
  /** What stands under it. */
  readonly note?: string | undefined;
}

/** The SVG's own units; it is stretched to the room there is. */
const SIZE = 1000;
const X_TICKS = 5;
const Y_TICKS = 4;

export function chartHtml(chart: Chart): Html {
  const { id, title, description, colour, series, xMax, xText, yText, note } = chart;
  const ticks = niceTicks(chart.yRange, Y_TICKS);
  const low = Math.min(chart.yRange[0], ticks[0]!);
  const high = Math.max(chart.yRange[1], ticks.at(-1)!);
  const xOf = (x: number) => (xMax > 0 ? (x / xMax) * SIZE : SIZE / 2);
  const yOf = (y: number) => SIZE - ((y - low) / (high - low)) * SIZE;
  const xTicks = niceTicks([0, xMax], X_TICKS).filter((x) => x <= xMax);
  const hover = series[0].points.map(({ x, y }, i) => [unit(xOf(x)), unit(yOf(y)), chart.readout(i)]);
  return markup`<figure class="chart ${colour}">
    <figcaption>
      <h3>${title}</h3>
      ${series.length > 1 ? markup`<span class="legend">${series.map(legendHtml)}</span>` : undefined}
      <output aria-live="polite"></output>
    </figcaption>
    <div
      class="plot"
      tabindex="0"
      data-points="${JSON.stringify(hover)}"
      aria-label="${title}: arrow keys read its points"
    >
      <svg viewBox="0 0 ${SIZE} ${SIZE}" preserveAspectRatio="none" role="img" aria-labelledby="${id}-title ${id}-desc">
        <title id="${id}-title">${title}</title>
        <desc id="${id}-desc">${description}</desc>
        ${ticks.map((y) => markup`<path class="grid" d="M0 ${unit(yOf(y))}H${SIZE}" />`)}
        ${chart.marks.map((x) => markup`<path class="mark" d="M${unit(xOf(x))} 0V${SIZE}" />`)}
        ${series.map(({ shape, points }) =>
          seriesHtml(
            shape,
            points.map(({ x, y }) => [xOf(x), yOf(y)]),
          ),
        )}
      </svg>
      <i class="cross" hidden></i><i class="dot" hidden></i>
      ${ticks.map((y) => markup`<span class="y" aria-hidden="true" style="top:${unit(yOf(y)) / 10}%">${yText(y)}</span>`)}
      ${xTicks.map((x) => markup`<span class="x" aria-hidden="true" style="left:${unit(xOf(x)) / 10}%">${xText(x)}</span>`)}
    </div>
    ${note === undefined ? undefined : markup`<p class="note">${note}</p>`}
  </figure>`;
}

/** A range that shows all of the lines and most of the dots: the outermost 0.5 % may leave the picture. */
export function rangeOf(o: { values: readonly number[]; whole: readonly number[] }): [low: number, high: number] {
  const sorted = o.values.toSorted((a, b) => a - b);
  const edge = Math.floor(sorted.length * 0.005);
  const kept = [...sorted.slice(edge, sorted.length - edge), ...o.whole];
  const low = kept.reduce((least, value) => Math.min(least, value), Infinity);
  const high = kept.reduce((most, value) => Math.max(most, value), -Infinity);
  if (low < high) return [low, high];
  const half = Math.abs(low) * 0.05 || 0.5;
  return [low - half, high + half];
}

/** About `count` round numbers, 1, 2 or 5 times a power of ten apart, that reach over a range. */
export function niceTicks([low, high]: readonly [low: number, high: number], count: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999)!;
  const from = Math.floor(low / step + 1e-9);
  const to = Math.ceil(high / step - 1e-9);
  // Through text, as 3 · 0.1 is 0.30000000000000004.
  return Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12)));
}

/**
 * The mean of each value with up to `reach` neighbours on either side. The beginning, where curves are steep, has as
 * many before as after; the end, where they are flat, has fewer after.
 */
export function smoothed(values: readonly number[], reach: number): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return values.map((_, i) => {
    const near = Math.min(reach, i);
    const end = Math.min(values.length, i + near + 1);
    return (sums[end]! - sums[i - near]!) / (end - (i - near));
  });
}

function legendHtml({ name, shape }: ChartSeries): HtmlPart {
  return markup`<span class="key ${shape}">${name}</span>`;
}

function seriesHtml(shape: ChartSeries["shape"], points: readonly [x: number, y: number][]): Html {
  const line = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${unit(x)} ${unit(y)}`).join("");
  switch (shape) {
    case "line":
    case "faint":
      return markup`<path class="${shape}" d="${line}" />`;
    case "dots":
      // A line of no length with round ends is a dot that stretching leaves round.
      return markup`<path class="line" d="${line}" /><path
          class="dots"
          d="${points.map(([x, y]) => `M${unit(x)} ${unit(y)}h0`).join("")}"
        />`;
    case "area":
      return markup`<path class="area" d="${line}V${SIZE}H${unit(points[0]?.[0] ?? 0)}Z" /><path
          class="line"
          d="${line}"
        />`;
    default:
      return shape satisfies never;
  }
}

/** To a tenth of a unit: less than a pixel. */
const unit = (value: number): number => Math.round(value * 10) / 10;
