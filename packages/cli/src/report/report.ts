/**
 * The report of a run as one HTML file that needs nothing else: no network, and no script for anything but readouts.
 * Names and messages in it come from jobs and workers of anybody; `markup` escapes them, and a policy in the page
 * forbids every script but its own.
 */
import { createHash } from "node:crypto";
import { bytesText, clockText, grouped, plural, short } from "@volary/core/figures";
import type { JobManifest } from "@volary/core/job";
import type { JobPhase } from "@volary/core/wire";
import { batchesTexts } from "../screen/batches-text.ts";
import { chartHtml } from "./chart.ts";
import { CHART_SCRIPT } from "./chart-script.ts";
import { markup, Html } from "./markup.ts";
import { chartsOf, figureText, metricNames } from "./report-charts.ts";
import { REPORT_STYLE } from "./report-style.ts";
import { clusterHtml, embeddingTablesHtml, numbersHtml, settingsHtml, type TableSize } from "./report-tables.ts";
import type { RunRecord } from "./run-record.ts";

export interface Report {
  readonly record: RunRecord;
  /** Undefined where the run ended before there was one. */
  readonly manifest?: JobManifest | undefined;
  /** Where the model was saved. */
  readonly folder?: string | undefined;
  /** What was saved of each table, by its name. */
  readonly tables?: ReadonlyMap<string, TableSize> | undefined;
  /** Why the run failed, if it did. */
  readonly failure?: string | undefined;
}

/** The whole page. */
export function reportHtml(report: Report): string {
  const { record, manifest, tables } = report;
  const name = record.job?.name ?? manifest?.name ?? "a run";
  const scriptHash = createHash("sha256").update(CHART_SCRIPT).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${scriptHash}'; base-uri 'none'; form-action 'none'`;
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${name} · training report</title>
        <style>${new Html(REPORT_STYLE)}</style>
      </head>
      <body>
        <main>
          ${headerHtml(report, name)}
          ${tilesHtml(record)}
          ${curvesHtml(record)}
          ${timeHtml(record)}
          ${manifest && embeddingTablesHtml(manifest, tables)}
          ${clusterHtml(record)}
          ${manifest && settingsHtml(manifest)}
          <footer>Made by Volary. This page is whole: it loads nothing.</footer>
        </main>
        <script>${new Html(CHART_SCRIPT)}</script>
      </body>
    </html>
`;
  return page.text;
}

function headerHtml({ record, folder, failure }: Report, name: string): Html {
  const { job } = record;
  const reason = failure ?? job?.message;
  const phase = failure === undefined || job?.phase === "stopped" ? (job?.phase ?? "preparing") : "failed";
  const started = new Date(record.startedMs);
  return markup`<header>
    <p class="kind">Training report</p>
    <h1>${name} <span class="phase ${phase}">${PHASES[phase]}</span></h1>
    <p class="when">
      <time datetime="${started.toISOString()}">${dateText(started)}</time>
      ${folder === undefined ? undefined : markup` · model in <code>${folder}</code>`}
    </p>
    ${reason === undefined ? undefined : markup`<p class="reason ${phase}">${reason}</p>`}
  </header>`;
}

const PHASES: Record<JobPhase, string> = {
  preparing: "not begun",
  waiting: "not begun",
  training: "training",
  evaluating: "evaluating",
  done: "done",
  failed: "failed",
  stopped: "stopped",
};

/** The figures one looks for first. */
function tilesHtml(record: RunRecord): Html | undefined {
  const { job, cluster, epochs, validations } = record;
  if (!job) return undefined;
  const { testRows, samples, trainSeconds, step, steps, loss, badRows } = job;
  const last = validations.at(-1)?.metrics ?? {};
  const trainingLoss = epochs.at(-1)?.loss ?? loss;
  const rows = cluster?.nodes.reduce((sum, node) => sum + node.rows, 0) ?? 0;
  const bytes = cluster?.nodes.reduce((sum, node) => sum + node.bytes, 0) ?? 0;
  const [, ...fates] = batchesTexts(job);
  const tiles: (Tile | undefined)[] = [
    ...metricNames(record).flatMap((name): Tile[] => {
      const value = last[name];
      if (value === undefined) return [];
      const under = `on ${plural(testRows, "row")}`;
      return [{ name: `held-out ${name}`, text: figureText(value), under, kind: "held-out" }];
    }),
    trainingLoss === null
      ? undefined
      : {
          name: "training loss",
          text: figureText(trainingLoss),
          under: epochs.length > 0 ? "last epoch" : "newest steps",
          kind: "train",
        },
    {
      name: "samples",
      text: short(samples),
      under: step === steps ? plural(steps, "step") : `step ${grouped(step)} of ${grouped(steps)}`,
    },
    {
      name: "samples/s",
      text: short(trainSeconds > 0 ? samples / trainSeconds : 0),
      under: `${plural(job.workers, "worker")}`,
      kind: "speed",
    },
    { name: "training time", text: clockText(trainSeconds), under: "no evaluation" },
    job.batches && { name: "batches", text: short(job.batches.finished), under: fates.join(", ") },
    rows === 0 ? undefined : { name: "rows on PS", text: short(rows), under: bytesText(bytes) },
    badRows.count === 0 ? undefined : { name: "bad rows", text: short(badRows.count), under: "left out", kind: "bad" },
  ];
  return markup`<section aria-label="Results" class="tiles">
      ${tiles.map((tile) => tile && markup`<div class="tile ${tile.kind ?? ""}"><span>${tile.name}</span><b>${tile.text}</b><small>${tile.under}</small></div>`)}
    </section>
    ${
      badRows.count === 0
        ? undefined
        : markup`<details>
            <summary>The first bad rows</summary>
            <ul>
              ${badRows.first.map((row) => markup`<li><code>${row}</code></li>`)}
            </ul>
          </details>`
    }`;
}

interface Tile {
  name: string;
  text: string;
  under: string;
  kind?: "train" | "held-out" | "speed" | "bad";
}

function curvesHtml(record: RunRecord): Html | undefined {
  const charts = chartsOf(record);
  if (charts.length === 0) return undefined;
  return markup`<section>
    <h2>Curves</h2>
    <div class="charts">${charts.map(chartHtml)}</div>
    <p class="note">By training step.${charts[0]!.marks.length > 0 ? " Dashed lines are ends of epochs." : ""}</p>
    ${numbersHtml(record)}
  </section>`;
}

/** Where a step's time goes, where that is known, and where the run's went. */
function timeHtml({ timings, phaseMs }: RunRecord): Html | undefined {
  const phases = [...phaseMs].map(([phase, ms]): Share => ({
    name: PHASE_WORK[phase],
    amount: ms,
    text: ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : clockText(ms / 1000),
  }));
  const parts = timings.map(({ part, milliseconds }): Share => ({
    name: part,
    amount: milliseconds,
    text: `${figureText(milliseconds)} ms`,
  }));
  if (phases.length === 0 && parts.length === 0) return undefined;
  return markup`<section class="times">
    ${sharesHtml("Where a step's time goes", parts)} ${sharesHtml("Where the run's time went", phases)}
  </section>`;
}

const PHASE_WORK: Record<JobPhase, string> = {
  preparing: "first weights",
  waiting: "workers read their data",
  training: "training",
  evaluating: "evaluation",
  done: "done",
  failed: "failed",
  stopped: "stopped",
};

interface Share {
  name: string;
  amount: number;
  text: string;
}

function sharesHtml(title: string, shares: readonly Share[]): Html | undefined {
  const total = shares.reduce((sum, { amount }) => sum + amount, 0);
  if (total <= 0) return undefined;
  const most = Math.max(...shares.map(({ amount }) => amount));
  return markup`<div>
    <h2>${title}</h2>
    <table class="shares">
      <caption class="unseen">
        ${title}
      </caption>
      <tbody>
        ${shares.map(
          ({ name, amount, text }) =>
            markup`<tr class="${amount === most ? "most" : ""}">
              <th scope="row">${name}</th>
              <td class="bar"><i style="width:${((100 * amount) / most).toFixed(1)}%"></i></td>
              <td>${text}</td>
              <td>${Math.round((100 * amount) / total)} %</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** As "14 November 2023, 22:13 UTC". */
const dateText = (date: Date): string =>
  `${date.toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" }).replace(" at ", ", ")} UTC`;
