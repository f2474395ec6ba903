/**
 * The entry of the dedicated Web Worker that computes, so that its page stays responsive. The page posts a
 * {@link PageMessage}, the worker answers with {@link WorkerMessage}s; terminating the worker stops it at once.
 */
import "../without-eval.ts";
import { TrainingModel } from "@volary/core/model";
import { openLeafSession } from "@volary/core/training";
import { realClock } from "../clock.ts";
import { browserDialer, type Traffic } from "../dial.ts";
import { portDialer } from "../group/port-channels.ts";
import { functionRefusal } from "../join/function-refusal.ts";
import { chooseDevice } from "./choose-device.ts";
import { Leaf } from "./leaf.ts";
import type { PageMessage, WorkerMessage } from "./messages.ts";

let leaf: Leaf | undefined;

addEventListener("message", ({ data }: MessageEvent<PageMessage>) => {
  switch (data.type) {
    case "start":
      if (leaf) tell({ type: "log", message: "this Web Worker was started before; make a new one for another start" });
      else void run(data);
      break;
    case "share":
      leaf?.share(data.share);
      break;
    case "pause":
      leaf?.pause(data.reason);
      break;
    case "hurry":
      leaf?.hurry();
      break;
    case "stop":
      leaf?.stop();
      break;
    default:
      data satisfies never;
  }
});

async function run(start: PageMessage & { type: "start" }): Promise<void> {
  const traffic: Traffic = { sent: 0, received: 0 };
  leaf = new Leaf({
    start,
    clock: realClock,
    random: Math.random,
    dialer: browserDialer({ traffic }),
    traffic,
    chooseDevice,
    openModel: async (manifest) => {
      const refusal = functionRefusal(manifest);
      if (refusal) throw refusal;
      return TrainingModel.create(manifest);
    },
    openSession: openLeafSession,
    channels: start.group?.port && portDialer(start.group.port),
    tell,
  });
  await leaf.run();
  close(); // whatever still computes, or waits for a lost device, ends here
}

function tell(message: WorkerMessage): void {
  postMessage(message);
}
