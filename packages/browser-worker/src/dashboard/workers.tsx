/** @file Workers, and the volunteers whose updates they combine. */
import { grouped, short } from "@volary/core/figures";
import type { ClusterStatus, LeafStatus } from "@volary/core/wire";
import { Badge, Figure, Figures, type Tone } from "../ui/figure.tsx";
import { Table } from "../ui/table.tsx";
import { Remedy, Section } from "./section.tsx";
import { TEXT } from "./text.ts";

export function Workers({ status: { workers, jobs } }: { status: ClusterStatus }) {
  const { heading, none, columns, idle } = TEXT.workers;
  const names = new Map(jobs.map((job) => [job.job, TEXT.jobName(job)]));
  return (
    <Section id="workers" heading={heading}>
      <Table
        caption={heading}
        columns={[
          { head: columns.name },
          { head: columns.backend },
          { head: columns.job },
          { head: columns.leaves, kind: "number" },
          { head: columns.speed, kind: "number" },
        ]}
        rows={workers.map(({ worker, name, backend, job, leaves = [] }) => ({
          key: worker,
          cells: [
            name,
            backend,
            job === null ? <Badge>{idle}</Badge> : (names.get(job) ?? job),
            grouped(leaves.length),
            short(Math.round(leaves.reduce((all, leaf) => all + leaf.samplesPerSecond, 0))),
          ],
        }))}
        empty={<Remedy words={none} />}
      />
    </Section>
  );
}

/** All volunteers of a cluster, each with its worker's name. */
export function leavesOf({ workers }: ClusterStatus): { worker: string; leaf: LeafStatus }[] {
  return workers.flatMap(({ name, leaves = [] }) => leaves.map((leaf) => ({ worker: name, leaf })));
}

/** Rows that a page may draw again several times a second. */
const ROWS_MAX = 100;

const TONES: Record<LeafStatus["state"], Tone> = { joining: "plain", ready: "good", working: "good", paused: "warn" };

export function Volunteers({ status }: { status: ClusterStatus }) {
  const { heading, none, columns, state, invited, redeemed, sessions, observers, expelled } = TEXT.volunteers;
  const { volunteers } = status;
  const leaves = leavesOf(status).sort((a, b) => b.leaf.samplesPerSecond - a.leaf.samplesPerSecond);
  return (
    <Section id="volunteers" heading={heading}>
      {volunteers === undefined ? null : (
        <Figures>
          <Figure label={invited} value={grouped(volunteers.invited)} />
          <Figure label={redeemed} value={grouped(volunteers.redeemed)} />
          <Figure label={sessions} value={grouped(volunteers.sessions)} hint={observers(volunteers.observers)} />
          <Figure label={expelled} value={grouped(volunteers.expelled)} />
        </Figures>
      )}
      <Table
        caption={heading}
        columns={[
          { head: columns.name },
          { head: columns.worker },
          { head: columns.device },
          { head: columns.state },
          { head: columns.speed, kind: "number" },
          { head: columns.samples, kind: "number" },
          { head: columns.accepted, kind: "number" },
          { head: columns.late, kind: "number" },
          { head: columns.refused },
        ]}
        rows={leaves.slice(0, ROWS_MAX).map(({ worker, leaf }) => ({
          key: `${worker} ${leaf.volunteer}`,
          cells: [
            `${leaf.name} (${leaf.volunteer})`,
            worker,
            leaf.device,
            <Badge tone={TONES[leaf.state]}>{state(leaf.state)}</Badge>,
            short(Math.round(leaf.samplesPerSecond)),
            grouped(leaf.samples),
            grouped(leaf.accepted),
            grouped(leaf.late),
            TEXT.counts(leaf.refused),
          ],
        }))}
        empty={<Remedy words={none} />}
      />
      {leaves.length <= ROWS_MAX ? null : <p class="empty">{TEXT.volunteers.fastest(ROWS_MAX, leaves.length)}</p>}
    </Section>
  );
}
