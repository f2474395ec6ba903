/** @file Jobs: a choice where there are several, and one job in figures and curves. */
import { useEffect, useState } from "preact/hooks";
import { clockText, grouped, metricText, percentText, short, UNKNOWN } from "@volary/core/figures";
import type { JobPhase, JobStatus } from "@volary/core/wire";
import { Badge, Bar, Figure, Figures, type Tone } from "../ui/figure.tsx";
import { Charts } from "./charts.tsx";
import { JobCurves } from "./job-curves.ts";
import { Remedy, Section } from "./section.tsx";
import { TEXT } from "./text.ts";

export interface JobsProps {
  jobs: readonly JobStatus[];
  curves: ReadonlyMap<number, JobCurves>;
  onWatch: (job: number) => void;
}

export function Jobs({ jobs, curves, onWatch }: JobsProps) {
  const [chosen, setChosen] = useState<number | null>(null);
  const shown = jobs.find(({ job }) => job === chosen) ?? mostTelling(jobs);
  useEffect(() => {
    if (shown) onWatch(shown.job);
  }, [shown?.job, onWatch]);
  return (
    <Section id="jobs" heading={TEXT.jobs.heading}>
      {shown === undefined ? (
        <p class="empty">
          <Remedy words={TEXT.jobs.none} />
        </p>
      ) : (
        <>
          {jobs.length === 1 ? null : <Choice jobs={jobs} shown={shown.job} onChoose={setChosen} />}
          <Job status={shown} curves={curves.get(shown.job) ?? new JobCurves()} />
        </>
      )}
    </Section>
  );
}

const UNDER_WAY: readonly JobPhase[] = ["preparing", "waiting", "training", "evaluating"];

/** The newest job that is under way, or else the newest. */
function mostTelling(jobs: readonly JobStatus[]): JobStatus | undefined {
  const newest = [...jobs].sort((a, b) => b.job - a.job);
  return newest.find(({ phase }) => UNDER_WAY.includes(phase)) ?? newest[0];
}

function Choice({
  jobs,
  shown,
  onChoose,
}: {
  jobs: readonly JobStatus[];
  shown: number;
  onChoose: (job: number) => void;
}) {
  return (
    <div class="choice" role="group" aria-label={TEXT.jobs.choose}>
      {jobs.map((job) => (
        <button key={job.job} type="button" aria-pressed={job.job === shown} onClick={() => onChoose(job.job)}>
          {TEXT.jobName(job)} <Phase {...job} />
        </button>
      ))}
    </div>
  );
}

const TONES: Record<JobPhase, Tone> = {
  preparing: "plain",
  waiting: "warn",
  training: "good",
  evaluating: "good",
  done: "plain",
  failed: "bad",
  stopped: "warn",
};

const Phase = ({ phase }: JobStatus) => <Badge tone={TONES[phase]}>{TEXT.jobs.phase(phase)}</Badge>;

function Job({ status, curves }: { status: JobStatus; curves: JobCurves }) {
  const text = TEXT.jobs;
  const { phase, message, step, steps, evaluated, testRows, badRows } = status;
  const isEvaluating = phase === "evaluating" && testRows > 0;
  return (
    <div class="job">
      <div class="job-head">
        <h3>{TEXT.jobName(status)}</h3>
        <Phase {...status} />
      </div>
      {message === undefined ? null : <p class="detail">{message}</p>}
      <div>
        <p>{isEvaluating ? text.evaluating(evaluated, testRows) : text.progress(step, steps)}</p>
        <Bar
          label={isEvaluating ? text.evaluating(evaluated, testRows) : text.progress(step, steps)}
          value={isEvaluating ? evaluated : step}
          max={isEvaluating ? testRows : steps}
        />
      </div>
      <JobFigures status={status} curves={curves} />
      <Charts curves={curves} />
      {badRows.first.length === 0 ? null : (
        <details>
          <summary>
            {text.badRows}: {grouped(badRows.count)}
          </summary>
          <ul class="bad-rows">
            {badRows.first.map((row, i) => (
              <li key={i}>{row}</li>
            ))}
          </ul>
        </details>
      )}
    </div>
  );
}

function JobFigures({ status, curves }: { status: JobStatus; curves: JobCurves }) {
  const text = TEXT.jobs;
  const { epoch, epochs, loss, validation, metrics, samples, workers, term, trainSeconds } = status;
  const speed = curves.samplesPerSecond;
  const heldOut = metrics ?? validation?.metrics ?? {};
  const when = metrics ? text.atEnd : validation ? text.atStep(validation.step) : undefined;
  return (
    <Figures>
      <Figure label={text.epoch} value={grouped(Math.min(epoch + 1, epochs))} hint={text.of(epochs)} />
      <Figure label={text.loss} value={metricText(loss)} />
      {Object.entries(heldOut).map(([name, value]) => (
        <Figure key={name} label={text.heldOut(name)} value={metricText(value)} hint={when} />
      ))}
      <Figure label={text.speed} value={speed === undefined ? UNKNOWN : short(Math.round(speed))} />
      <Figure label={text.samples} value={short(samples)} />
      <Figure label={text.workers} value={grouped(workers)} hint={text.term(term)} />
      <Figure label={text.time} value={clockText(trainSeconds)} />
      <BatchFigures {...status} />
    </Figures>
  );
}

/** How the batches fared of a job whose coordinator gives them out. */
function BatchFigures({ batches }: JobStatus) {
  if (batches === undefined) return null;
  const text = TEXT.jobs;
  const { finished, dropped, repeated, stalenessMax, rounds, cachedRows, rows } = batches;
  const lost = [...(dropped > 0 ? [text.dropped(dropped)] : []), ...(repeated > 0 ? [text.repeated(repeated)] : [])];
  return (
    <>
      <Figure label={text.batches} value={grouped(finished)} hint={lost.length === 0 ? undefined : lost.join(", ")} />
      <Figure label={text.staleness} value={grouped(stalenessMax)} hint={text.stalenessHint} />
      {rounds === 0 ? null : <Figure label={text.rounds} value={grouped(rounds)} />}
      {rows === 0 ? null : <Figure label={text.cached} value={percentText(cachedRows / rows)} />}
    </>
  );
}
