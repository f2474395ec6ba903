/** How every bench ends: its figures against their bounds, for people, or as one line of JSON. */
import { machine } from "./machine.ts";

export interface Check {
  metric: string;
  /** What the metric must be, for people, as "at most 1e-5". */
  bound: string;
  holds: boolean;
}

export interface BenchReport {
  name: string;
  metrics: Record<string, number | boolean>;
  checks: readonly Check[];
  /** In a control the measured property was broken on purpose, so every check must fail. */
  mode: "measure" | "control";
  output: "text" | "json";
}

/** Prints the report. A control that goes unnoticed sets exit code 1: the bench does not see what it measures. */
export function report({ name, metrics, checks, mode, output }: BenchReport): void {
  for (const { metric, bound, holds } of checks) {
    console.error(`${holds ? "✓" : "✗"} ${metric}: ${textOf(metrics[metric]!)}, must be ${bound}`);
  }
  if (mode === "control") {
    const unnoticed = checks.filter(({ holds }) => holds).map(({ metric }) => metric);
    if (unnoticed.length > 0) process.exitCode = 1;
    const verdict = unnoticed.length > 0 ? `went unnoticed by ${unnoticed.join(", ")}` : "was noticed by every check";
    console.error(`control: what was broken on purpose ${verdict}`);
  }
  if (output === "json") console.log(JSON.stringify({ name, metrics, machine: machine() }));
}

export const atMost = (metric: string, value: number, max: number): Check => ({
  metric,
  bound: `at most ${max < 0.01 ? max.toExponential() : max}`,
  holds: value <= max,
});

export const atLeast = (metric: string, value: number, min: number): Check => ({
  metric,
  bound: `at least ${min}`,
  holds: value >= min,
});

const textOf = (value: number | boolean): string => (typeof value === "number" ? value.toPrecision(3) : String(value));
