/** @file A job's charts: its losses, each metric of its held-out rows, and its speed. */
import { metricText, short } from "@volary/core/figures";
import { Chart } from "../ui/chart.tsx";
import { aligned } from "../ui/curve.ts";
import type { JobCurves } from "./job-curves.ts";
import { TEXT } from "./text.ts";

const LOSS = "loss";

export function Charts({ curves: { loss, metrics, speed } }: { curves: JobCurves }) {
  const text = TEXT.jobs.chart;
  const heldOut = metrics.get(LOSS);
  const losses = [{ label: text.training, curve: loss }, ...(heldOut ? [{ label: text.heldOut, curve: heldOut }] : [])];
  return (
    <div class="charts">
      <Chart title={text.loss} xLabel={text.step} {...aligned(losses)} valueText={metricText} empty={text.noSteps} />
      {[...metrics].map(([name, curve]) =>
        name === LOSS ? null : (
          <Chart
            key={name}
            title={text.metric(name)}
            xLabel={text.step}
            {...aligned([{ label: name, curve }])}
            valueText={metricText}
            empty={text.noSteps}
          />
        ),
      )}
      <Chart
        title={text.speed}
        xLabel={text.seconds}
        {...aligned([{ label: text.perSecond, curve: speed }])}
        valueText={(value) => short(Math.round(value))}
        empty={text.noSpeed}
        floor={0}
      />
    </div>
  );
}
