/** @file What a volunteer has given, and how far the training is. */
import { bytesText, clockText, grouped, metricText, percentText, short, UNKNOWN } from "@volary/core/figures";
import type { JobStatus } from "@volary/core/wire";
import { Chart } from "../ui/chart.tsx";
import { Bar, Figure, Figures } from "../ui/figure.tsx";
import type { JobView } from "./job-view.ts";
import { TEXT } from "./text.ts";
import type { VolunteerState } from "./volunteer.ts";

export function Progress({ state }: { state: VolunteerState }) {
  const { steps, samples, share, device, computeMs, traffic, refused, refusal } = state;
  const isGpu = device?.name === "webgpu" || device?.name === "webgl";
  return (
    <section class="card" aria-labelledby="yours">
      <h2 id="yours">{TEXT.yours}</h2>
      <Figures>
        <Figure label={TEXT.mySteps} value={grouped(steps)} />
        <Figure label={TEXT.mySamples} value={grouped(samples)} />
        <Figure
          label={TEXT.myShare}
          value={share === undefined ? UNKNOWN : percentText(share)}
          hint={TEXT.myShareHint}
        />
        <Figure
          label={TEXT.device}
          value={device ? TEXT.deviceNames[device.name] : UNKNOWN}
          hint={device?.description}
        />
        <Figure label={isGpu ? TEXT.gpuTime : TEXT.cpuTime} value={clockText(computeMs / 1000)} />
        <Figure label={TEXT.sent} value={bytesText(traffic.sent)} />
        <Figure label={TEXT.received} value={bytesText(traffic.received)} />
        {refusal ? (
          <Figure label={TEXT.refusedUpdates} value={grouped(refused)} hint={TEXT.refusal(refusal.code)} />
        ) : null}
      </Figures>
    </section>
  );
}

export function JobProgress({ view: { job, loss } }: { view: JobView }) {
  return (
    <section class="card" aria-labelledby="job">
      <h2 id="job">{TEXT.job}</h2>
      {job ? (
        <>
          <p class="step">
            {TEXT.step(grouped(job.step), grouped(job.steps))} · {TEXT.workers(job.workers)}
          </p>
          <Bar label={TEXT.job} value={job.step} max={job.steps} />
          <JobFigures job={job} />
        </>
      ) : null}
      <Chart
        title={TEXT.lossTitle}
        xLabel={TEXT.lossX}
        xs={loss.steps}
        lines={[{ label: TEXT.lossLine, values: loss.values }]}
        valueText={metricText}
        empty={TEXT.lossEmpty}
      />
    </section>
  );
}

/** The newest loss and metrics, and the mean speed. */
function JobFigures({ job: { loss, metrics, validation, samples, trainSeconds } }: { job: JobStatus }) {
  const heldOut = Object.entries(metrics ?? validation?.metrics ?? {});
  const when = metrics ? TEXT.atEnd : validation ? TEXT.atStep(grouped(validation.step)) : undefined;
  return (
    <Figures>
      <Figure label={TEXT.lossNow} value={metricText(loss)} />
      {heldOut.map(([name, value]) => (
        <Figure key={name} label={TEXT.heldOut(name)} value={metricText(value)} hint={when} />
      ))}
      <Figure
        label={TEXT.speed}
        value={trainSeconds > 0 ? short(Math.round(samples / trainSeconds)) : UNKNOWN}
        hint={TEXT.speedHint}
      />
    </Figures>
  );
}
