/** `volary doctor`: what of this machine Volary can use. */
import type { DeviceReport } from "@volary/node-worker";
import { Command } from "commander";
import { example } from "../options.ts";
import { textTable } from "../screen/text-table.ts";
import { withoutGreeting } from "../tfjs-greeting.ts";

interface Finding {
  what: string;
  ok: boolean;
  detail: string;
}

interface Options {
  json?: true;
  fresh?: true;
}

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("show which devices work here and how fast they train, and what is missing for the others")
    .option("--fresh", "measure again; what was measured on this machine is remembered")
    .option("--json", "print one JSON object")
    .addHelpText("after", example("volary doctor", "volary doctor --fresh --json"))
    .action(run);
}

async function run({ json, fresh }: Options): Promise<void> {
  const findings = [nodeFinding()];
  const { fastestOf, probeUsual } = await import("@volary/node-worker");
  const devices = await withoutGreeting(() => probeUsual({ fresh }));
  const fastest = fastestOf(devices)?.device ?? null;
  if (json) console.log(JSON.stringify({ node: process.version, fastest, findings, devices }));
  else console.log(doctorText(findings, devices, fastest));
}

export function doctorText(
  findings: readonly Finding[],
  devices: readonly DeviceReport[],
  fastest: string | null,
): string {
  const lines = devices.map(({ device, found, parity, stepMs, detail, refused }) => [
    device,
    found ? (refused === undefined ? "works" : "refused") : "no",
    parity === null ? "" : parity.toExponential(1),
    stepMs === null ? "" : `${stepMs.toFixed(1)} ms`,
    [detail, refused, device === fastest ? "fastest here" : undefined]
      .filter((words) => words !== undefined)
      .join("; "),
  ]);
  return [
    textTable(["DEVICE", "", "PARITY", "STEP", "DETAIL"], lines),
    "",
    "PARITY  the largest difference of a gradient from plain JavaScript's, over the largest of its tensor",
    "STEP    4096 samples of 24 embeddings of 16 floats, and a tower of 64, 32 and 1 units",
    "",
    ...findings.map(({ what, ok, detail }) => `${ok ? "✓" : "✗"} ${what}: ${detail}`),
  ].join("\n");
}

/** Where Node is too old, no command runs. */
function nodeFinding(): Finding {
  return { what: "Node", ok: true, detail: process.version };
}
