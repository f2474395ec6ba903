/** The parts of a report that are read as tables: the numbers behind the curves, embedding tables, cluster, settings. */
import { bytesText, clockText, grouped, plural, short } from "@volary/core/figures";
import type { JobManifest } from "@volary/core/job";
import { markup, type Html, type HtmlPart } from "./markup.ts";
import { figureText, metricNames } from "./report-charts.ts";
import { fieldsOf, optimizerText, settingsOf, type Setting } from "./report-settings.ts";
import type { RunRecord } from "./run-record.ts";

export interface TableSize {
  readonly rows: number;
  readonly bytes: number;
}

const LOSS_ROWS = 25;
const EVALUATION_ROWS = 200;

/** What the charts show, for whoever reads numbers. */
export function numbersHtml(record: RunRecord): Html {
  const { startedMs, validations, epochs } = record;
  const time = (atMs: number) => clockText((atMs - startedMs) / 1000);
  const names = metricNames(record);
  const shown = validations.slice(-EVALUATION_ROWS);
  return markup`<details>
    <summary>The numbers</summary>
    ${tableHtml({
      caption: "Training loss: means of neighbouring steps",
      head: ["up to step", "time", "loss"],
      rows: record.loss.thinned(LOSS_ROWS).map(({ step, atMs, mean }) => [grouped(step), time(atMs), figureText(mean)]),
    })}
    ${tableHtml({
      caption: "Training loss of each epoch",
      head: ["epoch", "last step", "loss"],
      rows: epochs
        .slice(-EVALUATION_ROWS)
        .map(({ epoch, step, loss }) => [grouped(epoch + 1), grouped(step), figureText(loss)]),
    })}
    ${tableHtml({
      caption: "Held-out rows",
      head: ["step", "time", ...names],
      rows: shown.map(({ step, atMs, metrics }) => [
        grouped(step),
        time(atMs),
        ...names.map((name) => (metrics[name] === undefined ? "–" : figureText(metrics[name]))),
      ]),
    })}
    ${tableHtml({
      caption: "Samples per second: means of neighbouring seconds",
      head: ["up to step", "time", "samples/s"],
      rows: record.speed.thinned(LOSS_ROWS).map(({ step, atMs, mean }) => [grouped(step), time(atMs), short(mean)]),
    })}
  </details>`;
}

/** @param sizes what was saved of each table, by its name */
export function embeddingTablesHtml(
  manifest: JobManifest,
  sizes: ReadonlyMap<string, TableSize> | undefined,
): Html | undefined {
  if (manifest.tables.length === 0) return undefined;
  return markup`<section>
    <h2>Embedding tables</h2>
    ${tableHtml({
      caption: sizes ? "Rows and bytes as saved" : "As the job names them",
      head: ["table", "dim", ...(sizes ? ["rows", "bytes"] : []), "optimizer", "fields"],
      texts: ["table", "optimizer", "fields"],
      rows: manifest.tables.map(({ name, dim, optimizer }) => {
        const fields = manifest.model.embeddings.filter(({ table }) => table === name).map(({ field }) => field);
        const size = sizes?.get(name);
        const figures = size ? [grouped(size.rows), bytesText(size.bytes)] : ["–", "–"];
        return [
          name,
          String(dim),
          ...(sizes ? figures : []),
          optimizerText(optimizer),
          [...new Set(fields)].join(", "),
        ];
      }),
    })}
  </section>`;
}

export function clusterHtml({ workers, cluster, startedMs }: RunRecord): Html | undefined {
  if (!cluster && workers.length === 0) return undefined;
  const time = (ms: number) => clockText((ms - startedMs) / 1000);
  return markup`<section>
    <h2>Cluster</h2>
    <div class="pair">
      ${tableHtml({
        caption: "Workers",
        head: ["worker", "device", "seen from", "until"],
        texts: ["worker", "device"],
        rows: workers.map(({ name, device, fromMs, untilMs }) => [name, device, time(fromMs), time(untilMs)]),
      })}
      ${tableHtml({
        caption: "Parameter servers",
        head: ["PS node", "address", "partitions", "rows", "memory"],
        texts: ["PS node", "address"],
        rows: (cluster?.nodes ?? []).map(({ name, alive, address, partitions, rows, bytes }) => [
          alive ? name : `${name} (lost)`,
          address,
          grouped(partitions),
          grouped(rows),
          bytesText(bytes),
        ]),
      })}
    </div>
  </section>`;
}

export function settingsHtml(manifest: JobManifest): Html {
  const list = (settings: readonly Setting[]) =>
    markup`<dl>
      ${settings.map(
        ([name, text]) =>
          markup`<div>
            <dt>${name}</dt>
            <dd>${text}</dd>
          </div>`,
      )}
    </dl>`;
  const fields = fieldsOf(manifest);
  return markup`<section>
    <h2>Settings</h2>
    ${list(settingsOf(manifest))}
    ${
      fields.length === 0
        ? undefined
        : markup`<details>
            <summary>${plural(fields.length, "field")}</summary>
            ${list(fields)}
          </details>`
    }
  </section>`;
}

interface NumberTable {
  caption: string;
  head: readonly string[];
  /** The columns that are no numbers. */
  texts?: readonly string[];
  rows: readonly (readonly string[])[];
}

/** Nothing where there are no rows. */
function tableHtml({ caption, head, texts = [], rows }: NumberTable): HtmlPart {
  if (rows.length === 0) return undefined;
  const kind = (column: number) => (texts.includes(head[column]!) ? "text" : "");
  return markup`<div class="wide">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head.map((name, i) => markup`<th scope="col" class="${kind(i)}">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            markup`<tr>
              ${row.map((cell, i) => markup`<td class="${kind(i)}">${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
