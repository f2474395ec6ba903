/** Programs of the machine that an installation needs, and what to do where one is missing or fails. */
import { execFile } from "node:child_process";

export interface ToolCall {
  /** What it is run for, as in "cannot download TensorFlow": "download TensorFlow". */
  purpose: string;
  program: string;
  args: readonly string[];
  /** Added to this process's environment. */
  env?: Readonly<Record<string, string>>;
}

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** How each program comes to a machine. */
const ORIGINS: Readonly<Record<string, string>> = {
  python3: "install Python 3 with pip (Debian, Ubuntu: apt install python3-pip)",
  npm: "install npm, which comes with Node (Debian, Ubuntu: apt install npm)",
  tar: "install tar (Debian, Ubuntu: apt install tar)",
  "c++": "install a C++ compiler (Debian, Ubuntu: apt install g++), or name one in the variable CXX",
};

/** What a program says where it fails for a reason of the machine, and what mends it. */
const REMEDIES: readonly [RegExp, string][] = [
  [/No module named pip/, "install pip (Debian, Ubuntu: apt install python3-pip; else python3 -m ensurepip --user)"],
  [
    /No space left on device|ENOSPC/,
    "free disk space, or name a folder on another disk in the variable VOLARY_DEVICES",
  ],
  [/Permission denied|EACCES|EROFS|Read-only/, "name a folder you may write to in the variable VOLARY_DEVICES"],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|name resolution|Failed to establish|timed? ?out|ProxyError|EOF occurred/i,
    "check the network and its proxy, or name a mirror (pip config set global.index-url URL; npm config set registry URL)",
  ],
  [
    /CERTIFICATE_VERIFY_FAILED|SELF_SIGNED|UNABLE_TO_GET_ISSUER/,
    "give pip (PIP_CERT) and npm (cafile) this network's certificates",
  ],
  [
    /No matching distribution|No such version|E404|ETARGET/,
    "check that the registry or mirror in use has this release",
  ],
  [
    /cannot find -lstdc\+\+|fatal error: (string|vector|memory)/,
    "install the C++ standard library (Debian, Ubuntu: apt install g++)",
  ],
];

/**
 * Runs a program to its end.
 *
 * @returns what it printed on stdout
 * @throws {Error} it is missing or failed: what for, its own words, and the remedy where one is known
 */
export async function runTool({ purpose, program, args, env = {} }: ToolCall): Promise<string> {
  const options = { maxBuffer: OUTPUT_BYTES_MAX, env: { ...process.env, ...env } };
  return await new Promise((resolve, reject) => {
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(failureText(purpose, program, error, `${stdout}\n${stderr}`), { cause: error }));
    });
    child.stdin?.end();
  });
}

function failureText(
  purpose: string,
  program: string,
  error: { code?: string | number | null; signal?: NodeJS.Signals | null },
  output: string,
): string {
  if (error.code === "ENOENT") {
    return `cannot ${purpose}: there is no ${program} on this machine; ${ORIGINS[program] ?? "check its name and PATH"}`;
  }
  const how = error.signal ?? `exit code ${String(error.code)}`;
  const remedy = REMEDIES.find(([says]) => says.test(output))?.[1];
  const end = remedy === undefined ? "" : `; ${remedy}`;
  return `cannot ${purpose}: ${program} ended with ${how} (${lastWords(output)})${end}`;
}

const WORDS_MAX = 300;

/** The line that says what went wrong: the first that names itself an error, else the last one. */
export function lastWords(output: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  const said = lines.filter(
    (line) => line !== "" && !/^npm (error|ERR!) (code|errno|syscall|A complete log)/.test(line),
  );
  const error = said.find((line) => /\berror\b|^ERR|No module named/i.test(line) && !/^(warning|WARNING)/.test(line));
  return (error ?? said.at(-1) ?? "it said nothing").slice(0, WORDS_MAX);
}
