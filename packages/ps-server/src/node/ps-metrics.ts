/** What a PS node counts, for Prometheus. The node counts by itself; a scrape only reads. */
import { Counter, Gauge, Registry } from "prom-client";
import type { PsHost } from "../ps-host.ts";
import type { PsCounters } from "../ps-node.ts";

const HELP: Record<keyof PsCounters, string> = {
  pulls: "Pulls answered",
  pushes: "Pushes taken",
  directPushes: "Direct pushes applied",
  rowsPulled: "Rows that pulls were answered with",
  rowsPushed: "Rows that pushes carried",
  commits: "Steps committed",
  staleSegments: "Segments refused because their partition has a newer generation",
  latePushes: "Pushes dropped because their step was closed, their attempt given up or their client gone",
  repeatedPushes: "Pushes that were in already",
  abandonedPulls: "Pulls dropped because their attempt was given up or their client left",
  refusedSteps: "Starts and commits refused: of an older term, or not what comes next",
};

/** @param host read at each scrape; its counters begin anew when it joins anew, as Prometheus expects of a restart */
export function psMetrics(host: PsHost): Registry {
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
  for (const [name, help] of [
    ["rows", "Embedding rows held"],
    ["bytes", "Memory of rows, indexes and staged steps"],
  ] as const) {
    const gauge: Gauge = new Gauge({
      name: `volary_ps_${name}`,
      help,
      registers: [registry],
      collect: () => gauge.set(host.node?.usage()[name] ?? 0),
    });
  }
  return registry;
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
