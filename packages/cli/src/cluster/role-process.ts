/**
 * One role (coordinator, PS node, worker) as this process, started by a person or, with `--machine`, by a parent.
 *
 * For a parent: the first line on stdout is the ready message, logs are JSON lines on stderr, and the role ends
 * gracefully when stdin does. A Ctrl-C reaches a whole terminal group, so then it is the parent's to act upon.
 */
import type { ReadyMessage } from "./child-role.ts";
import { EXIT_INTERRUPTED, messageOf, UserError } from "../user-error.ts";

export interface RunningRole {
  readonly ready: ReadyMessage;
  /** The ready message for people. */
  readonly announcement: string;
  stop(): Promise<void>;
  /** Resolves with the reason when the role ends unasked. */
  readonly closed?: Promise<string>;
}

export type RoleLog = (message: string) => void;

/** Longer than a step, shorter than a person's patience. */
const STOP_TIMEOUT_MS = 4_000;

/**
 * Runs a role until a signal, the parent's end or its own, then ends this process: a device's library may hold it
 * open otherwise.
 */
export async function runRole(options: {
  name: string;
  mode: "machine" | "person";
  start: (log: RoleLog) => Promise<RunningRole>;
}): Promise<never> {
  const { name, mode, start } = options;
  const log = mode === "machine" ? machineLog(name) : personLog;
  const asked = untilAsked(mode);
  const role = await Promise.race([start(log), asked]);
  if (role === ASKED) process.exit(0);
  process.stdout.write(mode === "machine" ? `${JSON.stringify({ ready: role.ready })}\n` : `${role.announcement}\n`);
  const why = await Promise.race([asked, role.closed ?? asked]);
  log(why === ASKED ? "stopping" : `ended: ${why}`);
  const timer = setTimeout(() => process.exit(1), STOP_TIMEOUT_MS);
  await role.stop().catch((error: unknown) => log(`while stopping: ${messageOf(error)}`));
  clearTimeout(timer);
  if (why === ASKED) process.exit(0);
  throw new UserError(`${name} has left the cluster: ${why}; start it again once the coordinator is back`);
}

const ASKED = Symbol("asked to end");

/** Resolves when this process should end; a second signal ends it at once. */
function untilAsked(mode: "machine" | "person"): Promise<typeof ASKED> {
  return new Promise((resolve) => {
    let count = 0;
    const onSignal = () => {
      if (++count > 1) process.exit(EXIT_INTERRUPTED);
      resolve(ASKED);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", mode === "machine" ? () => {} : onSignal);
    // Of a process that serves behind another one's port, which lets it go so.
    process.on("disconnect", () => resolve(ASKED));
    if (mode === "person") return;
    const onParentGone = () => resolve(ASKED);
    process.stdin.on("end", onParentGone).on("error", onParentGone).resume();
    process.stdout.on("error", onParentGone);
    process.stderr.on("error", onParentGone);
  });
}

const machineLog =
  (name: string): RoleLog =>
  (message) => {
    process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), process: name, message })}\n`);
  };

const personLog: RoleLog = (message) => {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${message}\n`);
};
