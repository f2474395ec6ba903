/**
 * @file Lines over steps or time, drawn by uPlot on a canvas. What the canvas shows is told by the key beside its title
 * too: each line's newest value, or the one under the pointer.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { short, UNKNOWN } from "@volary/core/figures";

export interface Line {
  label: string;
  /** One for each x; null where there is none. */
  values: readonly (number | null)[];
}

export interface ChartProps {
  title: string;
  /** What x counts: "step", "seconds". */
  xLabel: string;
  /** Ascending. */
  xs: readonly number[];
  /** Four at most, which is how many colours there are. */
  lines: readonly Line[];
  /** How a value reads in the key; three digits and a prefix without it. */
  valueText?: (value: number) => string;
  /** Shown in place of lines that have no point yet. */
  empty: string;
  /** Where the axis of values begins; where the least of them is, without it. */
  floor?: number;
  heightPx?: number;
}

export function Chart({ title, xLabel, xs, lines, valueText = short, empty, floor, heightPx = 180 }: ChartProps) {
  const [pointed, setPointed] = useState<number | null>(null);
  const x = pointed === null ? undefined : xs[pointed];
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="chart-key">
          {x === undefined ? null : (
            <li class="chart-key-x">
              {xLabel} {axisText(x)}
            </li>
          )}
          {lines.map(({ label, values }, i) => (
            <li key={label} class={`chart-key-${i + 1}`}>
              {label}{" "}
              {keyText(x === undefined ? values.findLast((value) => value !== null) : values[pointed!], valueText)}
            </li>
          ))}
        </ul>
      </figcaption>
      {xs.length === 0 ? (
        <p class="empty">{empty}</p>
      ) : (
        <Canvas xs={xs} lines={lines} floor={floor} heightPx={heightPx} onPoint={setPointed} />
      )}
    </figure>
  );
}

const keyText = (value: number | null | undefined, text: (value: number) => string): string =>
  value === null || value === undefined ? UNKNOWN : text(value);

interface CanvasProps {
  xs: readonly number[];
  lines: readonly Line[];
  floor: number | undefined;
  heightPx: number;
  onPoint: (index: number | null) => void;
}

function Canvas({ xs, lines, floor, heightPx, onPoint }: CanvasProps) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const isDark = useIsDark();
  const labels = lines.map(({ label }) => label).join("\n");
  useLayoutEffect(() => {
    const element = frame.current!;
    const drawn = new uPlot(
      chartOptions({
        widthPx: element.clientWidth,
        heightPx,
        floor,
        lineCount: lines.length,
        onPoint,
        style: getComputedStyle(element),
      }),
      dataOf(xs, lines),
      element,
    );
    plot.current = drawn;
    const observer = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: heightPx }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      drawn.destroy();
      plot.current = null;
    };
    // What is drawn changes below; only other lines or colours need a new plot.
  }, [labels, heightPx, isDark]);
  useEffect(() => plot.current?.setData(dataOf(xs, lines)), [xs, lines]);
  return <div class="chart-canvas" ref={frame} aria-hidden="true" />;
}

const dataOf = (xs: readonly number[], lines: readonly Line[]): uPlot.AlignedData =>
  [xs, ...lines.map(({ values }) => values)] as uPlot.AlignedData;

function chartOptions(o: {
  widthPx: number;
  heightPx: number;
  floor: number | undefined;
  lineCount: number;
  onPoint: (index: number | null) => void;
  style: CSSStyleDeclaration;
}): uPlot.Options {
  const colour = (name: string): string => o.style.getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: colour("--ink-soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1, size: 4 },
    font: `12px ${o.style.fontFamily}`,
    values: (_, splits) => splits.map(axisText),
  };
  return {
    width: o.widthPx,
    height: o.heightPx,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { time: false }, ...(o.floor === undefined ? {} : { y: { range: rangeFrom(o.floor) } }) },
    axes: [
      { ...axis, size: 28 },
      { ...axis, size: 52 },
    ],
    series: [
      {},
      ...Array.from({ length: o.lineCount }, (_, i) => ({
        stroke: colour(`--chart-${i + 1}`),
        width: 1.75,
        spanGaps: true,
        // A single point would be no line.
        points: { show: (self: uPlot) => self.data[0].length < 30, size: 5 },
      })),
    ],
    hooks: { setCursor: [(self) => o.onPoint(self.cursor.idx ?? null)] },
  };
}

/** From `floor` to somewhat above the greatest value. */
const rangeFrom =
  (floor: number) =>
  (_: uPlot, __: number | null, max: number | null): uPlot.Range.MinMax => [
    floor,
    max !== null && max > floor ? floor + 1.1 * (max - floor) : floor + 1,
  ];

/** Marks of an axis may differ in their fourth digit, and 0.25 needs no third one. */
const axisText = (value: number): string =>
  Math.abs(value) >= 1000 ? short(value) : String(Number(value.toPrecision(4)));

/** Canvases do not follow the colours of their page by themselves. */
function useIsDark(): boolean {
  const [query] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [isDark, setIsDark] = useState(query.matches);
  useEffect(() => {
    const changed = () => setIsDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, [query]);
  return isDark;
}
