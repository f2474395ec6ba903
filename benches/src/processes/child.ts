/**
 * A program that a bench started: lines in, lines out, and it ends with the bench, however that ends.
 *
 * What happens when it dies: whoever waits for a line of it, or will, gets an error that quotes its last words.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const LAST_LINES_MAX = 20;
const STOP_TIMEOUT_MS = 10_000;

const running = new Set<Child>();
process.on("exit", () => running.forEach((child) => child.kill()));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

export interface ChildOptions {
  /** For messages to people. */
  name: string;
  program: string;
  args: readonly string[];
  /** How it is asked to end: by the end of its stdin, or by a SIGTERM. */
  endsBy?: "stdin" | "signal";
}

export class Child {
  readonly name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #endsBy: "stdin" | "signal";
  readonly #lines: AsyncIterator<string>;
  readonly #lastWords: string[] = [];
  readonly #ended: Promise<unknown>;

  constructor({ name, program, args, endsBy = "stdin" }: ChildOptions) {
    this.name = name;
    this.#endsBy = endsBy;
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#ended = once(this.#child, "close").catch((error: unknown) => {
      this.#lastWords.push(String(error));
    });
    this.#child.stdin.on("error", () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    createInterface({ input: this.#child.stderr }).on("line", (line) => {
      if (this.#lastWords.push(line) > LAST_LINES_MAX) this.#lastWords.shift();
    });
    running.add(this);
    void this.#ended.then(() => running.delete(this));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** What it said last on stderr, which usually says why. */
  get lastWords(): string {
    return this.#lastWords.join("\n");
  }

  /** @throws {Error} it has ended */
  async nextLine(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (!done) return value;
    await this.#ended;
    throw new Error(`${this.name} ended (${this.#child.exitCode ?? this.#child.signalCode}): ${this.lastWords}`);
  }

  /**
   * The next line that is an object in JSON; others are passed over.
   *
   * @throws {Error} it has ended
   */
  async nextObject<T>(): Promise<T> {
    for (;;) {
      const line = await this.nextLine();
      if (line.startsWith("{")) return JSON.parse(line) as T;
    }
  }

  /** Writes a line and waits for its answer. */
  ask<T>(line: string): Promise<T> {
    this.#child.stdin.write(`${line}\n`);
    return this.nextObject<T>();
  }

  async stop(): Promise<void> {
    if (this.#endsBy === "stdin") this.#child.stdin.end();
    else this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), STOP_TIMEOUT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Ends it at once, by kill −9, and resolves when it has ended. */
  async killed(): Promise<void> {
    this.kill();
    await this.#ended;
  }

  /** SIGSTOP: it keeps its connections and says nothing, until it is killed or thawed. */
  freeze(): void {
    this.#child.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child.kill("SIGCONT");
  }
}

/** A program of this folder's bench, run by the same Node with the same flags. */
export function nodeChild({ name, file, args }: { name: string; file: string; args: readonly string[] }): Child {
  return new Child({ name, program: process.execPath, args: [...process.execArgv, file, ...args] });
}

/** Resident memory of a process in bytes, now and at its largest; undefined where the system does not say (not Linux). */
export async function memoryOf(pid: number): Promise<{ now: number; most: number } | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kilobytes = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1]);
  const [now, most] = [kilobytes("VmRSS"), kilobytes("VmHWM")];
  return Number.isNaN(now) ? undefined : { now: 1024 * now, most: 1024 * most };
}
