/**
 * @file Child processes: inherited ones that take over the terminal, captured ones that only report.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";

/** Kept of a captured child's output, enough for its last error. */
const OUTPUT_BYTES_MAX = 1 << 20;

/** @param {NodeJS.Signals | null} signal */
const signalCode = (signal) => 128 + (signal === null ? 0 : (constants.signals[signal] ?? 0));

/**
 * Runs a child on this terminal and resolves to its exit code (128 + n when signal n ended it).
 *
 * A Ctrl-C on a terminal reaches the child without us; elsewhere each signal is passed on once.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<number>}
 */
export function runInherited(command, args, { env = process.env } = {}) {
  const child = spawn(command, args, { stdio: "inherit", env });
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const forwarded = new Set();
  /** @param {NodeJS.Signals} signal */
  const forward = (signal) => {
    if ((signal === "SIGINT" && onTerminal) || forwarded.has(signal)) return;
    forwarded.add(signal);
    child.kill(signal);
  };
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      for (const name of signals) process.off(name, forward);
      resolve(code ?? signalCode(signal));
    });
  });
}

/**
 * Runs a child quietly and resolves to its exit code and the end of what it printed.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, shell?: boolean }} [options]
 * @returns {Promise<{ code: number, output: string }>}
 */
export function runCaptured(command, args, { env = process.env, cwd = process.cwd(), shell = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env, cwd, shell });
    let output = "";
    /** @param {Buffer} chunk */
    const keep = (chunk) => {
      output = (output + chunk.toString()).slice(-OUTPUT_BYTES_MAX);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => resolve({ code: 127, output: `${output}${error.message}\n` }));
    child.on("close", (code, signal) => resolve({ code: code ?? signalCode(signal), output }));
  });
}
