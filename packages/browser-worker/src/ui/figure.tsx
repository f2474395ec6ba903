/** @file Figures with their names, and small marks of state. */
import type { ComponentChildren } from "preact";

/** A list of figures. Its children are {@link Figure}s. */
export function Figures({ children }: { children: ComponentChildren }) {
  return <dl class="figures">{children}</dl>;
}

export interface FigureProps {
  label: string;
  value: ComponentChildren;
  /** A few words more, in small print. */
  hint?: string | undefined;
}

/** One figure and what it is called. */
export function Figure({ label, value, hint }: FigureProps) {
  return (
    <div class="figure">
      <dt>{label}</dt>
      <dd>
        {value}
        {hint === undefined ? null : <div class="hint">{hint}</div>}
      </dd>
    </div>
  );
}

export type Tone = "plain" | "good" | "warn" | "bad";

/** A word about a state. Its tone only says again what the word says. */
export function Badge({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={tone === "plain" ? "badge" : `badge badge-${tone}`}>{children}</span>;
}

/** How much there is of what may be, as a bar. */
export function Bar({ label, value, max }: { label: string; value: number; max: number }) {
  return <progress class="bar" aria-label={label} value={Math.min(value, max)} max={Math.max(max, 1)} />;
}
