/** How a report looks, in light and dark and at any width. */
export const REPORT_STYLE = `
:root {
  --page: #fafaf8; --card: #fff; --ink: #1c1d1f; --soft: #5f646b; --line: #e3e4e1; --grid: #ececea;
  --train: #2463c5; --held-out: #b4500b; --speed: #0f7a68; --good: #1a7a3c; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131416; --card: #1c1e21; --ink: #eceded; --soft: #a0a6ad; --line: #32353a; --grid: #2a2d31;
    --train: #7eaef5; --held-out: #f0a35e; --speed: #5cc9b1; --good: #6fce8f; --bad: #f28b82;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { margin: 0; font-size: 30px; line-height: 1.25; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 40px 0 12px; font-size: 18px; }
h3 { margin: 0; font-size: 14px; font-weight: 600; }
p { margin: 4px 0; }
code { font: 0.92em ui-monospace, monospace; overflow-wrap: anywhere; }
.kind, .when, .note, footer, small, .tile span, dt, caption { color: var(--soft); }
.kind { font-size: 13px; }
.note { font-size: 13px; }
.phase { display: inline-block; vertical-align: 5px; padding: 1px 10px; border: 1px solid currentColor; border-radius: 99px; font-size: 13px; font-weight: 500; letter-spacing: 0; color: var(--soft); }
.phase.done { color: var(--good); }
.phase.failed, .reason.failed { color: var(--bad); }
.reason { max-width: 80ch; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 24px 0 12px; }
.tile { display: flex; flex-direction: column; padding: 12px 14px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tile span, .tile small { font-size: 13px; }
.tile b { font-size: 26px; line-height: 1.3; font-weight: 600; letter-spacing: -0.01em; }
.tile.train b { color: var(--train); }
.tile.held-out b { color: var(--held-out); }
.tile.speed b { color: var(--speed); }
.tile.bad b { color: var(--bad); }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.chart { --hue: var(--train); min-width: 0; margin: 0; padding: 14px 18px 34px 58px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.chart.held-out { --hue: var(--held-out); }
.chart.speed { --hue: var(--speed); }
.chart:first-child, .chart:last-child:nth-child(even) { grid-column: 1 / -1; }
.chart:first-child:nth-last-child(2) { grid-column: auto; }
.chart:last-child:nth-child(2) { grid-column: auto; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: 0 16px; align-items: baseline; min-height: 3em; margin-left: -42px; font-size: 13px; }
.chart output { margin-left: auto; color: var(--ink); }
.chart .note { margin: 30px 0 -20px -42px; }
.legend { display: flex; flex-wrap: wrap; gap: 0 14px; color: var(--soft); }
.key::before { content: ""; display: inline-block; width: 16px; height: 0; margin-right: 6px; vertical-align: 4px; border-top: 2px solid var(--hue); }
.key.faint::before { opacity: 0.4; }
.plot { position: relative; height: 220px; cursor: crosshair; touch-action: pan-y; }
.plot:focus-visible { outline: 2px solid var(--hue); outline-offset: 4px; border-radius: 2px; }
.plot svg { display: block; width: 100%; height: 100%; overflow: visible; clip-path: inset(-5px -8px); }
.plot path { fill: none; stroke: var(--hue); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; vector-effect: non-scaling-stroke; }
.plot .grid { stroke: var(--grid); stroke-width: 1; }
.plot .mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 4; opacity: 0.6; }
.plot .faint { stroke-width: 1; opacity: 0.4; }
.plot .dots { stroke-width: 7; }
.plot .area { stroke: none; fill: var(--hue); opacity: 0.14; }
.plot span { position: absolute; font-size: 12px; line-height: 1; color: var(--soft); white-space: nowrap; pointer-events: none; }
.plot .y { right: 100%; margin-right: 8px; transform: translateY(-50%); }
.plot .x { top: 100%; margin-top: 8px; transform: translateX(-50%); }
.cross, .dot { position: absolute; pointer-events: none; }
.cross { top: 0; bottom: 0; border-left: 1px solid var(--soft); }
.dot { width: 9px; height: 9px; margin: -4.5px; border-radius: 9px; background: var(--hue); box-shadow: 0 0 0 2px var(--card); }
details { margin: 12px 0; }
summary { cursor: pointer; color: var(--soft); }
summary:focus-visible { outline: 2px solid var(--train); }
.wide { overflow-x: auto; margin: 0 0 16px; }
table { border-collapse: collapse; font-size: 14px; }
section > .wide table, .pair table { width: 100%; }
caption { padding: 0 0 4px; text-align: left; font-size: 13px; }
th, td { padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th { font-weight: 500; color: var(--soft); }
th.text, td.text { text-align: left; white-space: normal; overflow-wrap: break-word; }
.pair, .times { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 40px; }
.shares { width: 100%; }
.shares th { font-weight: 400; text-align: left; }
.shares .bar { width: 99%; vertical-align: middle; }
.bar i { display: block; height: 10px; min-width: 2px; border-radius: 2px; background: var(--soft); opacity: 0.55; }
.most .bar i { background: var(--speed); opacity: 1; }
.most th { font-weight: 600; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); gap: 12px 32px; margin: 0; }
details dl { margin-top: 12px; }
dt { font-size: 13px; }
dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 48px; font-size: 13px; }
@media (max-width: 720px) {
  main { padding: 20px 14px 32px; }
  h1 { font-size: 24px; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  .chart, .chart:first-child, .chart:last-child:nth-child(even) { grid-column: auto; }
  .chart { padding-left: 50px; padding-right: 12px; }
  .chart figcaption { min-height: 3.6em; align-content: flex-start; margin-left: -36px; }
  .chart output { margin-left: 0; width: 100%; }
  .plot { height: 190px; }
  .chart figcaption:has(.legend) { min-height: 5.6em; }
  .chart .legend { width: 100%; }
  .text { min-width: 9em; max-width: 16em; }
  .tiles { grid-template-columns: 1fr 1fr; }
  .tile b { font-size: 22px; }
  th, td { padding-right: 12px; }
}
@media print { .charts, .tile { break-inside: avoid; } }
`;
