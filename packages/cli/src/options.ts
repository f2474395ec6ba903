/** What the commands' options have in common: how they read, and what a wrong one is told. */
import type { DeviceName } from "@volary/node-worker";
import { InvalidArgumentError, Option } from "commander";
import { PROCESSES_MAX, REPLICAS_MAX } from "./cluster/local-cluster.ts";

export const PORT = 7171;
export const GATEWAY_PORT = 7272;
export const COORDINATOR = `ws://127.0.0.1:${PORT}`;
/** Below this, chunks of dense weights do not fit into the parts that partitions get. */
const MEMORY_MIN = 64 * 1024 * 1024;
export const DEVICES = ["auto", "cuda", "webgpu", "tensorflow", "wasm", "cpu"] as const satisfies readonly (
  | DeviceName
  | "auto"
)[];

/** Marks a role that a parent process started; see role-process.ts. */
export const machineOption = (): Option => new Option("--machine").hideHelp();

export const hostOption = (): Option =>
  new Option("--host <host>", "address to listen on; 0.0.0.0 lets other machines in").default("127.0.0.1");

export const coordinatorOption = (): Option =>
  new Option("--coordinator <address>", "address of the coordinator")
    .default(COORDINATOR)
    .env("VOLARY_COORDINATOR")
    .argParser(addressOf);

export const announceOption = (): Option =>
  new Option(
    "--announce <address>",
    "where others reach this node, if not where it listens: behind a proxy, or in a container",
  ).argParser(addressOf);

export const deviceOption = (): Option =>
  new Option("--device <device>", "what computes; auto takes the fastest that works").choices(DEVICES).default("auto");

/** Of NVIDIA GPUs, as nvidia-smi numbers them. */
export const gpusOption = (): Option =>
  new Option("--devices <numbers>", "NVIDIA GPUs, as 0,1; a worker is started for each").argParser(gpusOf);

export const trustedNetworkOption = (): Option =>
  new Option(
    "--trusted-network",
    "send without masking, which is faster: nothing between the machines may take what is sent for HTTP",
  );

/** May be given several times. */
export const gatewayOriginOption = (flag: "--origin" | "--gateway-origin"): Option =>
  new Option(
    `${flag} <origin>`,
    "https://host of another site whose pages may ask the gateway; repeat it for several",
  ).argParser((origin: string, before: string[] | undefined) => [...(before ?? []), urlOf(origin)]);

export const trustProxyOption = (): Option =>
  new Option(
    "--trust-proxy",
    "take the word of the proxy before the gateway, in X-Forwarded-For, for whose a connection is",
  );

export const groupsOption = (): Option =>
  new Option("--groups", "let volunteers of trusted jobs sum gradients among themselves, by WebRTC where that works");

export const memoryMaxOption = (whose: string): Option =>
  new Option(
    "--memory-max <size>",
    `memory that ${whose} may take, as 512m or 8g (default: three quarters of the machine's, or of its container's limit)`,
  ).argParser(memoryOf);

export const spillOption = (): Option =>
  new Option("--spill <folder>", "keep rows that memory has no room for in files in this folder, while it runs");

export const replicasOption = (replicas: number): Option =>
  new Option(
    "--replicas <count>",
    "PS nodes that hold each row, as far as there are so many; all but one of them may be lost at once",
  )
    .argParser(replicasOf)
    .default(replicas);

export const baseDirOption = (): Option =>
  new Option(
    "--base-dir <folder>",
    "where a job's data files and npm data packages are looked for (default: this folder)",
  );

/** May be given several times. */
export const pluginOption = (what: string): Option =>
  new Option("--plugin <file>", `TypeScript or JavaScript file with ${what}; repeat it for several`).argParser(
    (file: string, before: string[] | undefined) => [...(before ?? []), file],
  );

export function portOf(text: string): number {
  const port = wholeNumber(text);
  if (port === undefined || port > 65_535)
    throw new InvalidArgumentError("Give a port from 0 to 65535; 0 takes a free one.");
  return port;
}

/** Of processes. */
export function countOf(text: string): number {
  const count = wholeNumber(text);
  if (count === undefined || count < 1 || count > PROCESSES_MAX) {
    throw new InvalidArgumentError(`Give a whole number from 1 to ${PROCESSES_MAX}.`);
  }
  return count;
}

export function replicasOf(text: string): number {
  const count = wholeNumber(text);
  if (count === undefined || count < 1 || count > REPLICAS_MAX)
    throw new InvalidArgumentError(`Give a whole number from 1 to ${REPLICAS_MAX}; 1 keeps no second copy.`);
  return count;
}

/** In bytes; units are powers of 1024. */
export function memoryOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** " kmgt".indexOf(unit.toLowerCase() || " "));
  if (number === "" || bytes < MEMORY_MIN) {
    throw new InvalidArgumentError("Give a size from 64m on, as 512m, 1.5g or 8g.");
  }
  return bytes;
}

/** Of a partition function by range, over 256 partitions. */
export function keyBitsOf(text: string): number {
  const bits = wholeNumber(text);
  if (bits === undefined || bits < 8 || bits > 64) {
    throw new InvalidArgumentError("Give the bits of the largest key, from 8 to 64.");
  }
  return bits;
}

export function gpusOf(text: string): number[] {
  const gpus = text.split(",").map(wholeNumber);
  if (gpus.every((gpu) => gpu !== undefined) && new Set(gpus).size === gpus.length && gpus.length <= PROCESSES_MAX)
    return gpus;
  throw new InvalidArgumentError("Give the numbers of different GPUs, as 0,1; nvidia-smi -L lists them.");
}

export function rowsOf(text: string): number {
  if (text === "all") return Infinity;
  const rows = wholeNumber(text);
  if (rows === undefined || rows < 1) throw new InvalidArgumentError('Give a whole number from 1, or "all".');
  return rows;
}

/** Of bad rows, which may be none. */
export function badRowsOf(text: string): number {
  const rows = wholeNumber(text);
  if (rows === undefined) throw new InvalidArgumentError("Give a whole number from 0.");
  return rows;
}

export function addressOf(text: string): string {
  const url = URL.parse(text);
  if (!url || (url.protocol !== "ws:" && url.protocol !== "wss:") || url.hostname === "") {
    throw new InvalidArgumentError(`Give ws://HOST:PORT or wss://HOST, as ${COORDINATOR}.`);
  }
  return text;
}

/** Of a gateway, or another site. */
export function urlOf(text: string): string {
  const url = URL.parse(text);
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:") || url.hostname === "") {
    throw new InvalidArgumentError("Give https://HOST or http://HOST:PORT.");
  }
  return text.replace(/\/+$/, "");
}

/** The end of a command's help. */
export const example = (...lines: string[]): string =>
  `\nExample${lines.length > 1 ? "s" : ""}:\n${lines.map((line) => `  $ ${line}`).join("\n")}`;

const wholeNumber = (text: string): number | undefined => (/^\d{1,9}$/.test(text) ? Number(text) : undefined);
