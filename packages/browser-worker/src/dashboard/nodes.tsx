/** @file PS nodes, and the chains of replicas that they hold. */
import { bytesText, grouped, short, UNKNOWN } from "@volary/core/figures";
import type { ClusterStatus } from "@volary/core/wire";
import { Badge, Bar, Figure, Figures } from "../ui/figure.tsx";
import { Table } from "../ui/table.tsx";
import { Remedy, Section } from "./section.tsx";
import { TEXT } from "./text.ts";

type Node = ClusterStatus["nodes"][number];

export function Nodes({ status: { nodes, chains, failovers, moves, overrides } }: { status: ClusterStatus }) {
  const text = TEXT.nodes;
  const { columns } = text;
  return (
    <Section id="nodes" heading={text.heading}>
      {nodes.length === 0 ? null : (
        <Figures>
          <Figure label={text.whole} value={grouped(chains.whole)} />
          <Figure label={text.short} value={grouped(chains.short)} />
          <Figure label={text.moving} value={grouped(chains.moving)} />
          <Figure label={text.failovers} value={grouped(failovers)} hint={text.failoversHint} />
          <Figure label={text.moves} value={grouped(moves)} hint={text.movesHint} />
          <Figure label={text.overrides} value={grouped(overrides)} />
        </Figures>
      )}
      <Table
        caption={text.heading}
        columns={[
          { head: columns.name },
          { head: columns.state },
          { head: columns.heads, kind: "number" },
          { head: columns.replicas, kind: "number" },
          { head: columns.load, kind: "number" },
          { head: columns.rows, kind: "number" },
          { head: columns.disk, kind: "number" },
          { head: columns.memory },
          { head: columns.address },
        ]}
        rows={nodes.map((node) => ({
          key: node.node,
          cells: [
            node.name,
            <State {...node} />,
            grouped(node.partitions),
            grouped(node.replicas),
            node.load === undefined ? UNKNOWN : short(Math.round(node.load)),
            grouped(node.rows),
            node.diskRows === undefined ? UNKNOWN : grouped(node.diskRows),
            <Memory {...node} />,
            node.address,
          ],
        }))}
        empty={<Remedy words={text.none} />}
      />
    </Section>
  );
}

function State({ alive, draining }: Node) {
  if (!alive) return <Badge tone="bad">{TEXT.nodes.silent}</Badge>;
  return draining ? <Badge tone="warn">{TEXT.nodes.draining}</Badge> : <Badge tone="good">{TEXT.nodes.alive}</Badge>;
}

function Memory({ name, bytes, bytesMax }: Node) {
  if (bytesMax === undefined) return <>{bytesText(bytes)}</>;
  return (
    <div class="memory">
      {TEXT.nodes.memory(bytesText(bytes), bytesText(bytesMax))}
      <Bar label={TEXT.nodes.memoryOf(name)} value={bytes} max={bytesMax} />
    </div>
  );
}
