/** @file The dashboard's page: how it stands with the coordinator, the cluster in figures, then its parts. */
import { bytesText, grouped, short, UNKNOWN } from "@volary/core/figures";
import type { ClusterStatus } from "@volary/core/wire";
import { Badge, Figure, Figures, type Tone } from "../ui/figure.tsx";
import type { ClusterView, Connection } from "./cluster-watch.ts";
import { Events, Gateways } from "./edges.tsx";
import { Jobs } from "./jobs.tsx";
import { Nodes } from "./nodes.tsx";
import { Section } from "./section.tsx";
import { TEXT } from "./text.ts";
import { leavesOf, Volunteers, Workers } from "./workers.tsx";

export interface AppProps {
  view: ClusterView;
  /** The person looks at this job. */
  onWatch: (job: number) => void;
}

export function App({ view, onWatch }: AppProps) {
  const { status } = view;
  return (
    <>
      <a class="skip" href="#jobs">
        {TEXT.skip}
      </a>
      <header class="top">
        <h1>{TEXT.title}</h1>
        <ConnectionState {...view} />
      </header>
      <main>
        <Fault {...view} />
        {status === undefined ? null : (
          <>
            <Summary status={status} view={view} />
            <Jobs jobs={status.jobs} curves={view.curves} onWatch={onWatch} />
            <Workers status={status} />
            <Volunteers status={status} />
            <Nodes status={status} />
            <Gateways gateways={status.gateways ?? []} />
            <Events events={status.events ?? []} />
          </>
        )}
      </main>
    </>
  );
}

const TONES: Record<Connection["state"], Tone> = { connecting: "warn", connected: "good", refused: "bad" };

function ConnectionState({ connection }: ClusterView) {
  return (
    <p role="status" class="connection">
      <Badge tone={TONES[connection.state]}>{TEXT.connection[connection.state]}</Badge>
    </p>
  );
}

/** What keeps the page from showing what is. */
function Fault({ connection, status, fault }: ClusterView) {
  const { first, lost, refusedText } = TEXT.connection;
  if (connection.state === "refused") return <Notice tone="bad" text={refusedText} detail={connection.reason} />;
  if (connection.state === "connecting") {
    return <Notice tone="warn" text={status ? lost : first} detail={connection.reason} />;
  }
  return fault === undefined ? null : <Notice tone="warn" text={TEXT.fault} detail={fault} />;
}

function Notice({ tone, text, detail }: { tone: "warn" | "bad"; text: string; detail: string }) {
  return (
    <div class={`notice notice-${tone}`} role={tone === "bad" ? "alert" : "status"}>
      <p>{text}</p>
      {detail === "" ? null : <p class="detail">{detail}</p>}
    </div>
  );
}

function Summary({ status, view }: { status: ClusterStatus; view: ClusterView }) {
  const { jobs, workers, nodes } = status;
  const text = TEXT.summary;
  const training = jobs.filter(({ phase }) => phase === "training");
  const speeds = training.flatMap(({ job }) => view.curves.get(job)?.samplesPerSecond ?? []);
  const idle = workers.filter(({ job }) => job === null).length;
  const leaves = leavesOf(status);
  const paused = leaves.filter(({ leaf }) => leaf.state === "paused").length;
  const silent = nodes.filter(({ alive }) => !alive).length;
  return (
    <Section id="cluster" heading={text.heading}>
      <Figures>
        <Figure label={text.jobs} value={grouped(training.length)} />
        <Figure label={text.speed} value={speeds.length === 0 ? UNKNOWN : short(Math.round(sum(speeds)))} />
        <Figure label={text.workers} value={grouped(workers.length)} hint={idle > 0 ? text.idle(idle) : undefined} />
        <Figure
          label={text.volunteers}
          value={grouped(leaves.length)}
          hint={paused > 0 ? text.paused(paused) : undefined}
        />
        <Figure label={text.nodes} value={grouped(nodes.length)} hint={silent > 0 ? text.silent(silent) : undefined} />
        <Figure
          label={text.rows}
          value={short(sum(nodes.map(({ rows }) => rows)))}
          hint={text.memory(bytesText(sum(nodes.map(({ bytes }) => bytes))))}
        />
      </Figures>
    </Section>
  );
}

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
