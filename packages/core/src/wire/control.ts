/**
 * Control messages: JSON text frames, validated once where they arrive. Bulk data never travels here.
 *
 * `messages/` has what they say, one file for each two roles that talk.
 */
import { z } from "zod";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { batchMessages } from "./messages/batches.ts";
import { clientMessages } from "./messages/clients.ts";
import { connectionMessages } from "./messages/connection.ts";
import { gatewayMessages } from "./messages/gateways.ts";
import { leafMessages } from "./messages/leaves.ts";
import { psNodeMessages } from "./messages/ps-nodes.ts";
import { stepMessages } from "./messages/steps.ts";
import { workerMessages } from "./messages/workers.ts";

export const PROTOCOL_MIN = 7;
export const PROTOCOL_MAX = 7;

export const controlSchema = z.discriminatedUnion("type", [
  ...connectionMessages,
  ...psNodeMessages,
  ...stepMessages,
  ...batchMessages,
  ...workerMessages,
  ...gatewayMessages,
  ...leafMessages,
  ...clientMessages,
]);

export type Control = z.infer<typeof controlSchema>;
export type ControlType = Control["type"];
export type ControlOf<T extends ControlType> = Extract<Control, { type: T }>;

/** @throws {RangeError} over the limit of `limits.ts` */
export function encodeControl(message: Control): string {
  const json = JSON.stringify(message);
  const fault = lengthFault(json);
  if (fault) throw new RangeError(`cannot send control message "${message.type}": ${fault}`);
  return json;
}

/**
 * Parses and validates a control message.
 *
 * @throws {ProtocolError} naming the type and the first field that is wrong
 */
export function decodeControl(json: string): Control {
  const fault = lengthFault(json);
  if (fault) throw new ProtocolError(`control message: ${fault}`);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new ProtocolError(`control message is not JSON: ${json.slice(0, 80)}`, { cause });
  }
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (typeof type !== "string") throw new ProtocolError(`control message without a type: ${json.slice(0, 80)}`);
  if (!CONTROL_TYPES.has(type)) throw new ProtocolError(`unknown control message "${type.slice(0, 60)}"`);
  const issue = firstIssue(value);
  if (typeof issue !== "string") return issue;
  throw new ProtocolError(`control message "${type}": ${issue}`);
}

const CONTROL_TYPES: ReadonlySet<string> = new Set(controlSchema.options.map((option) => option.shape.type.value));

/** The message, or the first thing that is wrong with it. */
function firstIssue(value: unknown): Control | string {
  try {
    const parsed = controlSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    return `${issue.path.join(".")} ${issue.message}`.trim();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return "nested too deeply"; // schemas recurse, and the stack ends before the message does
  }
}

function lengthFault(json: string): string | undefined {
  if (json.length <= LIMITS.controlBytesMax) return undefined;
  return `${json.length} characters, over the limit of ${LIMITS.controlBytesMax}`;
}

/** The highest protocol version both sides speak, if there is one. */
export function negotiate(theirs: { min: number; max: number }): number | undefined {
  const version = Math.min(theirs.max, PROTOCOL_MAX);
  return version >= Math.max(theirs.min, PROTOCOL_MIN) ? version : undefined;
}

/** What to tell a peer of another protocol version. */
export function versionRefusal(theirs: { min: number; max: number; name: string }): ControlOf<"refuse"> {
  const older = theirs.max < PROTOCOL_MIN;
  return {
    type: "refuse",
    code: "PROTOCOL_VERSION",
    message:
      `${theirs.name} speaks protocol ${range(theirs)}, this side ${range({ min: PROTOCOL_MIN, max: PROTOCOL_MAX })}; ` +
      `upgrade ${older ? theirs.name : "this side"} so that both run the same Volary release`,
  };
}

function range({ min, max }: { min: number; max: number }): string {
  return min === max ? String(min) : `${min}–${max}`;
}
