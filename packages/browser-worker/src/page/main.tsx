/** @file The entry of the volunteer's page. `?device=webgl` in its address asks for one device by name. */
import "../without-eval.ts";
import { ClusterError } from "@volary/core/errors";
import { render } from "preact";
import { realClock } from "../clock.ts";
import type { DeviceName } from "../device/device.ts";
import { serveChannels } from "../group/port-channels.ts";
import { rtcDialer } from "../group/rtc-channels.ts";
import { enter } from "../join/enter.ts";
import { takeFragment } from "../join/fragment.ts";
import { gatewayApi, leafAddress } from "../join/gateway-api.ts";
import "../style/tokens.css";
import "../ui/ui.css";
import { App, type Opened } from "./app.tsx";
import "./style.css";
import { Volunteer, type LeafWorker } from "./volunteer.ts";

const fragment = takeFragment({ location, history });
// Another link in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.reload());

const root = document.getElementById("app")!;
const show = (opened: Opened) => render(<App opened={opened} />, root);

show({ kind: "opening" });
try {
  const stores = { tab: sessionStorage, browser: localStorage };
  const entry = await enter({ fragment, stores, api: gatewayApi(location.href) });
  const device = new URLSearchParams(location.search).get("device") ?? undefined;
  const volunteer = new Volunteer({
    createWorker: () =>
      new Worker(new URL("../worker/main.ts", import.meta.url), { type: "module" }) as unknown as LeafWorker,
    gateway: leafAddress(location.href),
    session: entry.session,
    volunteer: entry.volunteer,
    job: entry.invitation.job,
    name: `volunteer ${entry.volunteer}`,
    manifest: entry.invitation.manifest,
    device: device as DeviceName | undefined, // the device's own error names those that there are
    openChannels: () => {
      const dialer = rtcDialer();
      if (!dialer) return undefined;
      const { port1, port2 } = new MessageChannel();
      return { port: port2, close: serveChannels(port1, dialer) };
    },
    after: (delayMs, run) => realClock.after(delayMs, run),
    log: (message) => console.info(message),
  });
  show({ kind: "entered", entry, volunteer });
} catch (error) {
  const code = error instanceof ClusterError ? error.code : "UNKNOWN";
  show({ kind: "refused", code, message: error instanceof Error ? error.message : String(error) });
}
