/** @file The entry of the volunteer's page, which is an observer's too. `?device=webgl` in its address asks for one device by name. */
import "../without-eval.ts";
import { ClusterError } from "@volary/core/errors";
import { render } from "preact";
import { realClock } from "../clock.ts";
import type { DeviceName } from "../device/device.ts";
import { serveChannels } from "../group/port-channels.ts";
import { rtcDialer } from "../group/rtc-channels.ts";
import { enter, type Entry } from "../join/enter.ts";
import { takeFragment } from "../join/fragment.ts";
import { gatewayApi, leafAddress } from "../join/gateway-api.ts";
import "../style/tokens.css";
import "../ui/ui.css";
import { App, type Opened } from "./app.tsx";
import type { ObserverState } from "./observer.ts";
import "./style.css";
import { TEXT } from "./text.ts";
import { Volunteer, type LeafWorker } from "./volunteer.ts";

/** Not `randomUUID`, which a page without https does not have. */
const secret = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16).padStart(8, "0")).join("");

const fragment = takeFragment({ location, history });
// Another link in the same tab changes nothing but the fragment.
addEventListener("hashchange", () => location.reload());

const root = document.getElementById("app")!;
const show = (opened: Opened) => render(<App opened={opened} />, root);

show({ kind: "opening" });
try {
  const stores = { tab: sessionStorage, browser: localStorage };
  const entry = await enter({ fragment, stores, api: gatewayApi(location.href), secret });
  if (entry.invitation.role === "observer") await watchAs(entry);
  else show({ kind: "entered", entry, volunteer: volunteerOf(entry) });
} catch (error) {
  const code = error instanceof ClusterError ? error.code : "UNKNOWN";
  show({ kind: "refused", code, message: error instanceof Error ? error.message : String(error) });
}

function volunteerOf({ session, volunteer, invitation }: Entry): Volunteer {
  const device = new URLSearchParams(location.search).get("device") ?? undefined;
  return new Volunteer({
    createWorker: () =>
      new Worker(new URL("../worker/main.ts", import.meta.url), { type: "module" }) as unknown as LeafWorker,
    gateway: leafAddress(location.href),
    session,
    volunteer,
    job: invitation.job,
    name: `volunteer ${volunteer}`,
    manifest: invitation.manifest,
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
}

async function watchAs({ session, volunteer, invitation }: Entry): Promise<void> {
  const { watch } = await import("./watch.ts");
  document.title = TEXT.watchTitle;
  const gateway = leafAddress(location.href);
  const onState = (state: ObserverState) => show({ kind: "watching", invitation, state });
  watch({ gateway, session, name: `observer ${volunteer}`, onState });
}
