/** @file The dashboard for operators, served by the coordinator and told by it over a WebSocket to the same address. */
import "../without-eval.ts";
import { render } from "preact";
import { realClock } from "../clock.ts";
import { browserDialer } from "../dial.ts";
import "../style/tokens.css";
import "../ui/ui.css";
import { App } from "./app.tsx";
import { ClusterWatch } from "./cluster-watch.ts";
import "./dashboard.css";

/** The page is drawn no more often than this: news of a fast job come many times a second. */
const DRAW_EVERY_MS = 200;

const root = document.getElementById("app")!;
const watch = new ClusterWatch({
  dialer: browserDialer(),
  address: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`,
  clock: realClock,
  random: Math.random,
  onChange: drawSoon,
});
const onWatch = (job: number): void => watch.watch(job);

let waiting: (() => void) | undefined;

function drawSoon(): void {
  waiting ??= realClock.after(DRAW_EVERY_MS, draw);
}

function draw(): void {
  waiting = undefined;
  render(<App view={watch.view} onWatch={onWatch} />, root);
}

draw();
void watch.run();
