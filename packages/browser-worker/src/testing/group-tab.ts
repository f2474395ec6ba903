/**
 * For the tests: a page whose Web Worker is a member of a group. The page has the data channels, as a volunteer's has.
 * What the test asks is in the address of the page; what comes is in its title, which the test waits for.
 */
import { serveChannels } from "../group/port-channels.ts";
import { rtcDialer } from "../group/rtc-channels.ts";
import type { GroupTabStart } from "./group-tab-worker.ts";

const asked = new URLSearchParams(location.search);
const policy = asked.get("policy") === "relay" ? "relay" : "all";
const dialer = rtcDialer({ policy });
const { port1, port2 } = new MessageChannel();
if (dialer) serveChannels(port1, dialer);

const worker = new Worker(new URL("./group-tab-worker.ts", import.meta.url), { type: "module" });
worker.onmessage = ({ data }: MessageEvent<string>) => (document.title = data);
worker.onerror = ({ message }) => (document.title = `failed: ${message}`);
const start: GroupTabStart = {
  address: location.origin.replace("http", "ws"),
  volunteer: Number(asked.get("volunteer")),
  floats: Number(asked.get("floats")),
  ...(dialer ? { port: port2 } : {}),
};
worker.postMessage(start, dialer ? [port2] : []);
