/**
 * Puts the progress of a job on a terminal: a block of lines redrawn in place, or, where nobody watches, a line
 * every few seconds.
 */
import type { WriteStream } from "node:tty";
import type { ClusterStatus, Clock, JobStatus } from "@volary/core/wire";
import { realClock } from "../cluster/dialer.ts";
import {
  lineText,
  newProgress,
  progressLines,
  progressLogLine,
  resultLines,
  withCluster,
  withJob,
  type Line,
} from "./progress.ts";

/** What a screen needs of a stream; process.stdout and process.stderr have it. */
export type Screen = Pick<WriteStream, "write"> & Partial<Pick<WriteStream, "isTTY" | "columns" | "hasColors">>;

/** Progress on a terminal, to be given to `cluster.train` or `cluster.fit` as its options. */
export interface ProgressScreen {
  readonly onStatus: (status: JobStatus) => void;
  readonly onCluster: (status: ClusterStatus) => void;
  /** Says something above the progress. */
  note(text: string): void;
  /** Takes the progress away, and leaves the result of a finished job. */
  end(result?: JobStatus): void;
}

const REDRAW_EVERY_MS = 100;
const LOG_EVERY_MS = 5_000;
const COLUMNS = 80;

/**
 * Shows how a job goes on: drawn over and over on a terminal, a line now and then elsewhere.
 *
 * @example
 * const screen = progressScreen();
 * const run = await cluster.train(job, screen);
 * screen.end(run.status);
 */
export function progressScreen({
  stream = process.stderr,
  clock = realClock,
}: { stream?: Screen; clock?: Clock } = {}): ProgressScreen {
  const onTerminal = stream.isTTY === true;
  const colour = onTerminal && stream.hasColors?.() === true;
  let state = newProgress;
  let drawn = 0;
  let cancel: (() => void) | undefined;
  let lastLogged = "";

  const text = (lines: readonly Line[]) => lines.map((line) => `${lineText(line, { colour })}\n`).join("");
  const erase = () => {
    if (drawn > 0) stream.write(`\u001b[${drawn}A\u001b[J`);
    drawn = 0;
  };
  const draw = () => {
    const lines = progressLines(state, { columns: stream.columns ?? COLUMNS, nowMs: clock.now() });
    const above = drawn > 0 ? `\u001b[${drawn}A\u001b[J` : "";
    stream.write(above + text(lines));
    drawn = lines.length;
  };
  const log = () => {
    const line = progressLogLine(state, { nowMs: clock.now() });
    if (line !== lastLogged) stream.write(`${line}\n`);
    lastLogged = line;
  };
  const show = onTerminal ? draw : log;
  const everyMs = onTerminal ? REDRAW_EVERY_MS : LOG_EVERY_MS;
  /** Shows now, and again as long as there is news. */
  const begin = () => {
    if (cancel) return;
    show();
    const again = () => {
      show();
      cancel = clock.after(everyMs, again);
    };
    cancel = clock.after(everyMs, again);
  };

  return {
    onStatus(status) {
      const isNewPhase = state.job?.phase !== status.phase || state.job.job !== status.job;
      state = withJob(state, status, clock.now());
      begin();
      // A log tells every phase, however short.
      if (!onTerminal && isNewPhase) log();
    },
    onCluster(status) {
      state = withCluster(state, status);
    },
    note(message) {
      erase();
      stream.write(`${message}\n`);
      if (cancel && onTerminal) draw();
    },
    end(result) {
      cancel?.();
      cancel = undefined;
      erase();
      state = newProgress;
      if (result) stream.write(text(resultLines(result)));
    },
  };
}
