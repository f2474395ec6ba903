/** What a PS node counts, for Prometheus. The node counts by itself; a scrape only reads. */
import type { TableMemory } from "@volary/core/table";
import { Counter, Gauge, Registry } from "prom-client";
import type { PsCounters } from "../effects.ts";
import type { PsHost } from "../ps-host.ts";

const HELP: Record<keyof PsCounters, string> = {
  pulls: "Pulls answered",
  pushes: "Pushes taken",
  directPushes: "Direct pushes applied",
  rowsPulled: "Rows that pulls were answered with",
  rowsPushed: "Rows that pushes carried",
  commits: "Steps committed",
  staleSegments: "Segments refused because their partition has a newer generation",
  latePushes: "Pushes dropped because their step was closed without them, their attempt given up or their client gone",
  repeatedPushes: "Pushes that were in already",
  abandonedPulls: "Pulls dropped because their attempt was given up or their client left",
  refusedSteps: "Starts, closes and commits refused: of an older term, or not what comes next",
  unknownKeys: "Frames that named keys not known here, and were asked for whole",
  chainRecords: "Records sent to the next replicas of partitions, repeats included",
  chainBytes: "Bytes of those records, as they travel",
  copies: "Copies of partitions sent whole to new replicas",
  copyBytes: "Bytes of copies sent, those that were not finished included",
  refusedRecords: "Records refused: of an older generation, or not what comes next",
};

/**
 * @param host read at each scrape; its counters begin anew when it joins anew, as Prometheus expects of a restart
 * @param memory of its rows
 */
export function psMetrics(host: PsHost, memory: TableMemory): Registry {
  const registry = new Registry();
  for (const name of Object.keys(HELP) as (keyof PsCounters)[]) {
    const counter: Counter = new Counter({
      name: `volary_ps_${snakeCase(name)}_total`,
      help: HELP[name],
      registers: [registry],
      collect: () => {
        counter.reset();
        counter.inc(host.node?.counters[name] ?? 0);
      },
    });
  }
  const gauges: Record<string, { help: string; value: () => number }> = {
    rows: { help: "Embedding rows held, those on disk included", value: () => host.node?.usage().rows ?? 0 },
    bytes: { help: "Memory of rows, indexes and staged steps", value: () => host.node?.usage().bytes ?? 0 },
    heads: { help: "Partitions whose requests this node answers", value: () => host.node?.roles().heads ?? 0 },
    replicas: { help: "Partitions it holds for other nodes", value: () => host.node?.roles().replicas ?? 0 },
    waiting_acks: { help: "Answers that wait for the tails of chains", value: () => host.node?.waitingAcks ?? 0 },
    memory_bytes: { help: "Memory taken, frames in passing included", value: () => memory.bytesUsed },
    memory_max_bytes: { help: "Memory that rows may take", value: () => memory.bytesMax },
    disk_rows: { help: "Rows on disk", value: () => memory.cold?.rows ?? 0 },
    disk_bytes: { help: "Files of rows on disk", value: () => memory.cold?.bytes ?? 0 },
  };
  for (const [name, { help, value }] of Object.entries(gauges)) {
    const gauge: Gauge = new Gauge({
      name: `volary_ps_${name}`,
      help,
      registers: [registry],
      collect: () => gauge.set(value()),
    });
  }
  const totals: Record<string, { help: string; value: () => number }> = {
    rows_spilled: { help: "Rows moved from memory to disk", value: () => memory.cold?.rowsSpilled ?? 0 },
    rows_evicted: { help: "Rows that tables dropped: too old, or too many", value: () => memory.counts.rowsEvicted },
    pushes_refused: { help: "Pushes whose rows had no room", value: () => memory.counts.pushesRefused },
  };
  for (const [name, { help, value }] of Object.entries(totals)) {
    const counter: Counter = new Counter({
      name: `volary_ps_${name}_total`,
      help,
      registers: [registry],
      collect: () => {
        counter.reset();
        counter.inc(value());
      },
    });
  }
  return registry;
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
