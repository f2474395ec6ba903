/** @file Gateways, which volunteers come through, and what has happened. */
import { bytesText, clockText, grouped } from "@volary/core/figures";
import type { ClusterEvent, GatewayStatus } from "@volary/core/wire";
import { Table } from "../ui/table.tsx";
import { Remedy, Section } from "./section.tsx";
import { TEXT } from "./text.ts";

export function Gateways({ gateways }: { gateways: readonly GatewayStatus[] }) {
  const { heading, none, columns } = TEXT.gateways;
  return (
    <Section id="gateways" heading={heading}>
      <Table
        caption={heading}
        columns={[
          { head: columns.url },
          { head: columns.connected, kind: "number" },
          { head: columns.refused },
          { head: columns.in, kind: "number" },
          { head: columns.out, kind: "number" },
        ]}
        rows={gateways.map(({ url, connected, refused, bytesIn, bytesOut }, i) => ({
          key: `${i} ${url}`,
          cells: [url, grouped(connected), TEXT.counts(refused), bytesText(bytesIn), bytesText(bytesOut)],
        }))}
        empty={<Remedy words={none} />}
      />
    </Section>
  );
}

export function Events({ events }: { events: readonly ClusterEvent[] }) {
  const { heading, none, note, kind } = TEXT.events;
  return (
    <Section id="events" heading={heading}>
      <p class="empty">{events.length === 0 ? none : note}</p>
      <ol class="events" tabIndex={events.length === 0 ? -1 : 0} aria-label={heading}>
        {events
          .map((event, i) => (
            <li key={`${i} ${event.at}`}>
              <span class="event-time">{clockText(event.at / 1000)}</span>
              <span class="event-kind">{kind(event.kind)}</span>
              <span>{event.message}</span>
            </li>
          ))
          .reverse()}
      </ol>
    </Section>
  );
}
