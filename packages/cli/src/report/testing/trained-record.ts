import { clusterStatus, jobStatus } from "../../testing/job-status.ts";
import { RunRecord } from "../run-record.ts";

/** A record of `steps` steps with a validation after every tenth, and the end of the run. */
export function trainedRecord({ steps = 40, name = "flights" } = {}): RunRecord {
  let now = 1_700_000_000_000;
  const record = new RunRecord({ now: () => now });
  record.onStatus(jobStatus(0, { name, phase: "waiting" }));
  for (let step = 1; step <= steps; step++) {
    now += 500;
    const validations =
      step % 10 === 0 ? [{ step, epoch: 0, metrics: { auc: 0.7 + step / 1000, loss: 1 / step } }] : [];
    const news = { steps: [{ step, loss: 1 / step, samples: 10 }], epochs: [], validations };
    record.onStatus(jobStatus(step, { name, news, validation: validations[0] ?? null }));
    record.onCluster(
      clusterStatus([
        { name: "worker-1", job: 1 },
        { name: "idle", job: null },
      ]),
    );
  }
  const metrics = { auc: 0.75, loss: 0.25 };
  record.onStatus(
    jobStatus(steps, { name, phase: "done", metrics, badRows: { count: 1, first: ["a.csv:7: no label"] } }),
  );
  return record;
}
