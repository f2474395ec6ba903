/** @file What all parts of the page are made of. */
import type { ComponentChildren } from "preact";

/** A part of the page under its heading. */
export function Section({ id, heading, children }: { id: string; heading: string; children: ComponentChildren }) {
  return (
    <section class="card" id={id} aria-labelledby={`${id}-heading`}>
      <h2 id={`${id}-heading`}>{heading}</h2>
      {children}
    </section>
  );
}

/** What to do where there is nothing to show: words, a command, words. */
export function Remedy({ words: [before, command, after] }: { words: readonly [string, string, string] }) {
  return (
    <>
      {before}
      <code>{command}</code>
      {after}
    </>
  );
}
