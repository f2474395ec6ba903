/** For the tests: a member of a group in a Web Worker, which brings a vector to each round that its reducer calls. */
import { GroupMember } from "@volary/core/training";
import type { ControlOf } from "@volary/core/wire";
import { browserDialer } from "../dial.ts";
import { realClock } from "../clock.ts";
import { portDialer } from "../group/port-channels.ts";

export interface GroupTabStart {
  /** Of the reducer. */
  address: string;
  volunteer: number;
  floats: number;
  /** To the page's data channels, if there are any. */
  port?: MessagePort;
}

const JOB = 1;

globalThis.onmessage = async ({ data: start }: MessageEvent<GroupTabStart>) => {
  const { address, volunteer, floats, port } = start;
  const hello = { role: "leaf", name: `tab ${volunteer}`, id: volunteer, job: JOB } as const;
  const link = await browserDialer().dial(address, hello);
  const member = new GroupMember({
    job: JOB,
    member: volunteer,
    clock: realClock,
    dialer: port && portDialer(port),
    send: (_, message) => ("control" in message ? link.sendControl(message.control) : link.sendFrame(message.frame)),
    onFault: (error) => console.error(error),
  });
  const data_N = Float32Array.from({ length: floats }, (_, i) => (i % 101) * volunteer);
  const takePart = async ({ round, members }: ControlOf<"leaf-group">) => {
    const sum = await member.sum({ round, members, data: data_N });
    postMessage(sum === undefined ? `round ${round} left` : resultOf(round, sum, member.channels));
  };
  link.listen({
    onControl: (control) => {
      if (control.type === "leaf-signal") member.takeSignal(control);
      else if (control.type === "leaf-group") void takePart(control);
    },
    onFrame: (frame) => member.takeFrame(frame),
    onClose: (reason) => postMessage(`closed: ${reason}`),
  });
  member.signal(0, { kind: "join" });
};

/** What a test compares: the round, a few of the floats, and who is reached by a data channel. */
function resultOf(round: number, sum: Float32Array, channels: readonly number[]): string {
  const sampled = [0, 1, 100, sum.length - 1].map((i) => sum[i]);
  return JSON.stringify({ round, floats: sum.length, sampled, channels: [...channels].toSorted((a, b) => a - b) });
}
