/**
 * One role (coordinator, PS node, worker) as a child process, seen from its parent.
 *
 * The child's first line on stdout is its ready message; every other line is log. It lives as long as its stdin is
 * open: the kernel closes that pipe when the parent dies, however it dies, so no child outlives it. Closing it is
 * also how the parent asks for a graceful end.
 *
 * What happens when a peer dies here: a child that ends unasked is told to the owner with its last lines; nothing is
 * restarted.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { createInterface } from "node:readline";
import { EXIT_USAGE, UserError } from "../user-error.ts";

export type RoleName = "coordinator" | "ps" | "worker" | "gateway";

/** The first line a child prints, as JSON. */
export interface ReadyMessage {
  readonly role: RoleName;
  readonly name: string;
  readonly address: string;
  /** Where volunteers reach the gateway of this process, if it has one: http(s)://host:port. */
  readonly gateway?: string;
}

/** What a process of a local cluster printed. */
export interface LogEntry {
  /** Name of the process that said it. */
  readonly process: string;
  /** One line, without its end. */
  readonly line: string;
}

/** How a child ended, for people: "exit code 1", "SIGKILL". */
export interface Ending {
  readonly how: string;
  readonly wasAsked: boolean;
  readonly lastLines: readonly string[];
}

export interface ChildRoleOptions {
  role: RoleName;
  name: string;
  /** Program and arguments. */
  command: readonly string[];
  log?: ((entry: LogEntry) => void) | undefined;
  /** Of the child, beside this process's own. */
  env?: Readonly<Record<string, string>> | undefined;
  /** A child that has not ended this long after it was asked to is killed. */
  stopTimeoutMs?: number;
}

/** A first start reads and compiles all of tfjs and times the devices. */
const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 5_000;
const LAST_LINES_MAX = 20;

export class ChildRole {
  readonly role: RoleName;
  readonly name: string;
  readonly pid: number | undefined;
  /** Resolves once, however the child ends. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ready: Promise<ReadyMessage>;
  readonly #stopTimeoutMs: number;
  readonly #lastLines: string[] = [];
  readonly #log: ((entry: LogEntry) => void) | undefined;
  #wasAsked = false;

  constructor({ role, name, command, log, env, stopTimeoutMs = STOP_TIMEOUT_MS }: ChildRoleOptions) {
    const [program = "", ...args] = command;
    this.role = role;
    this.name = name;
    this.#log = log;
    this.#stopTimeoutMs = stopTimeoutMs;
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    this.pid = this.#child.pid;
    // A child that dies while we write to it says so by ending.
    this.#child.stdin.on("error", () => {});
    this.ended = this.#watchEnd();
    this.#ready = this.#watchOutput();
    // Whoever wants the message awaits ready(); until then its failure is nobody's surprise.
    this.#ready.catch(() => {});
  }

  /** @throws {UserError} it ended first, with its last words; or it took too long, and is killed */
  async ready(): Promise<ReadyMessage> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.kill();
        reject(new UserError(`${this.name} was not ready after ${READY_TIMEOUT_MS / 1000} s${this.#quote()}`));
      }, READY_TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.#ready, tooLate]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks for a graceful end and waits for it; kills what does not end in time. */
  async stop(): Promise<void> {
    this.#wasAsked = true;
    this.#child.stdin.end();
    const timer = setTimeout(() => this.kill(), this.#stopTimeoutMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  kill(): void {
    this.#wasAsked = true;
    this.#child.kill("SIGKILL");
  }

  #watchEnd(): Promise<Ending> {
    return new Promise((resolve) => {
      const end = (how: string) => resolve({ how, wasAsked: this.#wasAsked, lastLines: [...this.#lastLines] });
      this.#child.on("error", (error) => end(error.message));
      // "close" comes after the last line, "exit" may come before.
      this.#child.on("close", (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  #watchOutput(): Promise<ReadyMessage> {
    createInterface({ input: this.#child.stderr }).on("line", (line) => this.#take(line));
    return new Promise((resolve, reject) => {
      let isReady = false;
      createInterface({ input: this.#child.stdout }).on("line", (line) => {
        const message = isReady ? undefined : readyMessageOf(line);
        if (message === undefined) return this.#take(line);
        isReady = true;
        resolve(message);
      });
      void this.ended.then(({ how }) => {
        // What it could not be told to do, its parent could not either.
        const exitCode = this.#child.exitCode === EXIT_USAGE ? EXIT_USAGE : 1;
        reject(new UserError(`${this.name} ended (${how}) before it was ready${this.#quote()}`, { exitCode }));
      });
    });
  }

  #take(line: string): void {
    if (line.trim() === "") return;
    if (this.#lastLines.length === LAST_LINES_MAX) this.#lastLines.shift();
    this.#lastLines.push(line);
    this.#log?.({ process: this.name, line });
  }

  /** Its last words, which usually say why. */
  #quote(): string {
    const last = this.#lastLines.at(-1);
    return last === undefined ? " and said nothing" : `: ${last.replace(/^volary: /, "")}`;
  }
}

function readyMessageOf(line: string): ReadyMessage | undefined {
  try {
    const { ready } = JSON.parse(line) as { ready?: ReadyMessage };
    return typeof ready?.name === "string" ? ready : undefined;
  } catch {
    return undefined;
  }
}
