import { createHash } from "node:crypto";
import { jobManifestSchema, type JobManifest } from "@volary/core/job";
import { expect, test } from "vitest";
import { reportHtml, type Report } from "./report.ts";
import { RunRecord } from "./run-record.ts";
import { clusterStatus, jobStatus } from "../testing/job-status.ts";
import { pageOf } from "./testing/parse-page.ts";
import { trainedRecord } from "./testing/trained-record.ts";

const HOSTILE = [
  `</title></style></script><script>alert(1)</script>`,
  `" onmouseover="alert(1)" x="`,
  `' autofocus onfocus='alert(1)`,
  `<img src=x onerror=alert(1)>`,
  `<!-- `,
  `]]>&lt;b&gt;\u0000\u001b[2J`,
];

const manifest = (name: string): JobManifest =>
  jobManifestSchema.parse({
    name,
    seed: 1,
    model: {
      topology: {},
      embeddings: [{ input: name, field: name, table: name, dim: 8, usage: { kind: "one" } }],
      numbers: [],
      variables: [{ name, shape: [4, 2], trainable: true }],
      outputs: 1,
    },
    tables: [{ id: 1, name, dim: 8, initializer: { kind: "zeros" }, optimizer: { kind: "sgd", learningRate: 0.5 } }],
    data: {
      format: { kind: "csv", delimiter: ",", header: true, types: {}, missing: [] },
      files: [{ kind: "file", path: name }],
      fields: { [name]: { kind: "bucket", of: { kind: "column", column: name }, width: 10 } },
      label: { kind: "equals", column: name, value: name },
      badRowsMax: 0,
    },
    compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss: "meanSquaredError", metrics: ["auc"] },
    fit: { epochs: 1, batchSize: 10, consistency: { mode: "bsp" }, shuffle: true, validate: { everySteps: 10 } },
    workersMin: 1,
  });

/** A report in which everything that others name is called `name`. */
function reportOf(name: string): Report {
  const record = trainedRecord({ name });
  record.onStatus(
    jobStatus(40, {
      name,
      phase: "failed",
      message: name,
      badRows: { count: 1, first: [name] },
      metrics: { [name]: 0.5 },
    }),
  );
  const cluster = clusterStatus([{ name, job: 1 }]);
  record.onCluster({
    ...cluster,
    nodes: cluster.nodes.map((node) => ({ ...node, name, address: name })),
    workers: cluster.workers.map((worker) => ({ ...worker, backend: name })),
  });
  record.onStatus({
    ...jobStatus(41, { name, validation: { step: 41, epoch: 0, metrics: { [name]: 1 } } }),
    timings: [{ part: name, milliseconds: 2 }],
  });
  record.onStatus(jobStatus(42, { name, validation: { step: 42, epoch: 0, metrics: { [name]: 2 } } }));
  return {
    record,
    manifest: manifest(name),
    folder: name,
    tables: new Map([[name, { rows: 3, bytes: 120 }]]),
    failure: name,
  };
}

test.each(HOSTILE)("a page is built the same, whatever things are called: %j", (name) => {
  const harmless = pageOf(reportHtml(reportOf("harmless")));
  const page = pageOf(reportHtml(reportOf(name)));
  expect(page.shape).toEqual(harmless.shape);
  expect(page.scripts).toEqual(harmless.scripts);
  // oxlint-disable-next-line no-control-regex
  const shown = name.replaceAll(/[\u0000\u001b]/g, "\ufffd");
  const times = (texts: readonly string[], what: string) => texts.filter((text) => text.includes(what)).length;
  expect(times(page.texts, shown.trim())).toBe(times(harmless.texts, "harmless"));
});

test("a page loads nothing and runs no script but its own", () => {
  const { shape, scripts, attributes } = pageOf(reportHtml(reportOf("flights")));
  expect(shape.filter((tag) => /^(link|img|iframe|object|embed|base|form|a)\b/.test(tag))).toEqual([]);
  expect(attributes.filter(({ name }) => /^(src|href|on.*)$/.test(name))).toEqual([]);
  expect(scripts).toHaveLength(1);
  const hash = createHash("sha256").update(scripts[0]!).digest("base64");
  const policy = attributes.find(({ value }) => value.startsWith("default-src"))?.value;
  expect(policy).toContain("default-src 'none';");
  expect(policy).toContain(`script-src 'sha256-${hash}'`);
});

test("a page says what came out: metrics, curves, tables, cluster, settings", () => {
  const { texts, shape } = pageOf(
    reportHtml({ record: trainedRecord(), manifest: manifest("route"), folder: "runs/flights" }),
  );
  for (const text of ["flights", "done", "0.75", "runs/flights", "14 November 2023, 22:13 UTC", "a.csv:7: no label"]) {
    expect(texts).toContain(text);
  }
  for (const title of ["Training loss", "Held-out auc", "Held-out loss", "Samples per second"])
    expect(texts).toContain(title);
  for (const text of [
    "worker-1",
    "wasm (SIMD)",
    "ps-1",
    "every 10 steps",
    "sgd, learningRate 0.5",
    "bucket(route, 10)",
  ]) {
    expect(texts).toContain(text);
  }
  expect(texts).not.toContain("idle");
  expect(texts).not.toContain("Where a step's time goes");
  expect(shape.filter((tag) => tag.startsWith("svg"))).toHaveLength(4);
});

test("a page tells how batches fared that the coordinator gave out", () => {
  const record = trainedRecord();
  expect(pageOf(reportHtml({ record })).texts).not.toContain("batches");
  const batches = { finished: 1234, dropped: 5, repeated: 0, stalenessMax: 0, rounds: 7, cachedRows: 0, rows: 0 };
  record.onStatus(jobStatus(40, { phase: "done", batches }));
  const { texts } = pageOf(reportHtml({ record }));
  expect(texts).toEqual(expect.arrayContaining(["batches", "1.23 k", "5 dropped, 7 rounds"]));
});

test("the numbers of the curves are in tables, too", () => {
  const { texts } = pageOf(reportHtml({ record: trainedRecord() }));
  const from = texts.indexOf("The numbers");
  expect(texts.slice(from)).toContain("Held-out rows");
  for (const text of ["10", "0:05", "0.71", "0.1"]) expect(texts.slice(from)).toContain(text);
});

test("the slowest part of a step stands out where timings are known", () => {
  const record = trainedRecord();
  const timings = [
    { part: "pull", milliseconds: 10 },
    { part: "compute", milliseconds: 30 },
  ];
  record.onStatus({ ...jobStatus(40, { phase: "done" }), timings });
  const page = reportHtml({ record });
  expect(pageOf(page).texts).toEqual(expect.arrayContaining(["Where a step's time goes", "30 ms", "75 %"]));
  expect(page).toMatch(/class="most">\s*<th scope="row">compute</);
});

test("a run that failed at once still has a page", () => {
  const record = new RunRecord({ now: () => 0 });
  record.onStatus(jobStatus(0, { phase: "failed", message: "no column clicekd", steps: 0, loss: null }));
  const { texts } = pageOf(reportHtml({ record, failure: "no column clicekd" }));
  expect(texts).toEqual(expect.arrayContaining(["failed", "no column clicekd", "1 January 1970, 00:00 UTC"]));
  expect(texts).not.toContain("Curves");
  expect(pageOf(reportHtml({ record: new RunRecord({ now: () => 0 }) })).texts).toContain("not begun");
});

test("addresses lose what may be a secret", () => {
  const spec = manifest("flights");
  const data = {
    ...spec.data,
    files: [{ kind: "http" as const, url: "https://me:pass@data.example/a.csv?signature=s3cret" }],
  };
  const page = reportHtml({ record: trainedRecord(), manifest: { ...spec, data } });
  expect(page).toContain("https://data.example/a.csv");
  expect(page).not.toMatch(/s3cret|me:pass/);
});

test("a page of a long run stays small", () => {
  expect(reportHtml({ record: trainedRecord({ steps: 20_000 }) }).length).toBeLessThan(400_000);
});
