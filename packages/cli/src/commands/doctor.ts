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

const NODE_MIN = 22;

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("show which devices work here, and what is missing for the others")
    .option("--json", "print one JSON object")
    .addHelpText("after", example("volary doctor"))
    .action(run);
}

async function run({ json }: { json?: true }): Promise<void> {
  const findings = [nodeFinding()];
  const { probeDevices } = await import("@volary/node-worker");
  const devices = await withoutGreeting(probeDevices);
  if (json) console.log(JSON.stringify({ node: process.version, findings, devices }));
  else console.log(doctorText(findings, devices));
}

export function doctorText(findings: readonly Finding[], devices: readonly DeviceReport[]): string {
  const fastest = devices.filter(({ stepMs }) => stepMs !== null).toSorted((a, b) => a.stepMs! - b.stepMs!)[0];
  const lines = devices.map(({ device, found, stepMs, detail }) => [
    device,
    found ? "works" : "no",
    stepMs === null ? "" : `${stepMs.toFixed(1)} ms`,
    `${detail}${device === fastest?.device ? " (fastest here)" : ""}`,
  ]);
  return [
    textTable(["DEVICE", "", "STEP", "DETAIL"], lines),
    ...findings.map(({ what, ok, detail }) => `${ok ? "✓" : "✗"} ${what}: ${detail}`),
  ].join("\n");
}

function nodeFinding(): Finding {
  const major = Number(process.versions.node.split(".")[0]);
  const ok = major >= NODE_MIN;
  return { what: "Node", ok, detail: `${process.version}${ok ? "" : `; Volary needs ${NODE_MIN} or later`}` };
}
