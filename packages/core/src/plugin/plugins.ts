/**
 * What the operator of a node loaded with `--plugin FILE`: server updates on PS nodes, training functions on workers,
 * both where a job is submitted. Functions never travel: a job names one by its name and the SHA-256 of its file, and
 * every node runs its own copy of that very file, or refuses.
 *
 * Reading and importing files is its owner's business; here is only what is found in them.
 */
import { ClusterError } from "../errors.ts";
import type { FunctionRef } from "../job/index.ts";
import type { OptimizerSpec, ServerUpdate } from "../optimizer/index.ts";

/** What a plugin file may export, told apart by `kind`; other exports are left alone. */
export interface PluginExport {
  readonly kind: "serverUpdate" | "trainingFunction";
  readonly name: string;
}

export interface Plugin {
  /** As its owner wrote it; for messages. */
  readonly file: string;
  /** Of the file's bytes, hex. What it imports is not part of it. */
  readonly sha256: string;
  readonly exports: readonly PluginExport[];
}

export class Plugins {
  static readonly none = new Plugins([]);
  readonly all: readonly Plugin[];

  /** @throws {RangeError} two files, or two exports of one, that have a function of the same name */
  constructor(plugins: readonly Plugin[]) {
    const owners = new Map<string, Plugin>();
    for (const plugin of plugins) {
      for (const { kind, name } of plugin.exports) {
        const other = owners.get(`${kind}/${name}`);
        if (other) {
          const files = other === plugin ? plugin.file : `${other.file} and ${plugin.file}`;
          throw new RangeError(`${WORDS[kind]} "${name}" is there twice, in ${files}: give each a name of its own`);
        }
        owners.set(`${kind}/${name}`, plugin);
      }
    }
    this.all = plugins;
  }

  /**
   * The server update that a table's spec names.
   *
   * @throws {ClusterError} BAD_JOB: it is not loaded here, or from a file of other bytes
   */
  serverUpdate({ update, sha256 }: Extract<OptimizerSpec, { kind: "custom" }>): ServerUpdate {
    return this.#find({ kind: "serverUpdate", name: update, sha256, command: "ps" }) as ServerUpdate;
  }

  /**
   * The training function that a job's loss names; `core/model` knows its shape.
   *
   * @throws {ClusterError} BAD_JOB: as above
   */
  trainingFunction({ function: name, sha256 }: FunctionRef): PluginExport {
    return this.#find({ kind: "trainingFunction", name, sha256, command: "worker" });
  }

  /** How a job names an export of a loaded file; undefined where none of the files has it. */
  fileOf({ kind, name }: PluginExport): Plugin | undefined {
    return this.all.find(({ exports }) => exports.some((each) => each.kind === kind && each.name === name));
  }

  #find({ kind, name, sha256, command }: PluginExport & { sha256: string; command: "ps" | "worker" }): PluginExport {
    const plugin = this.fileOf({ kind, name });
    const what = `${WORDS[kind]} "${name}"`;
    if (!plugin) {
      const loaded = this.all.map(({ file }) => file).join(", ") || "no plugin";
      throw new ClusterError(
        "BAD_JOB",
        `the job needs ${what} of a plugin file with SHA-256 ${short(sha256)}, and this node has loaded ${loaded}: ` +
          `give it that file, as \`volary ${command} --plugin FILE\``,
      );
    }
    if (plugin.sha256 !== sha256) {
      throw new ClusterError(
        "BAD_JOB",
        `the job needs ${what} of a plugin file with SHA-256 ${short(sha256)}, and ${plugin.file} on this node has ` +
          `${short(plugin.sha256)}: copy the author's file there and start \`volary ${command} --plugin ${plugin.file}\` again`,
      );
    }
    return plugin.exports.find((each) => each.kind === kind && each.name === name)!;
  }
}

/**
 * The plugin that a module is. One without exports of ours is none the less of use: a file may register layers.
 *
 * @param of.module its exports by name
 */
export function pluginOf(of: { file: string; sha256: string; module: Readonly<Record<string, unknown>> }): Plugin {
  const { file, sha256, module } = of;
  return { file, sha256, exports: [...new Set(Object.values(module))].filter(isPluginExport) };
}

function isPluginExport(value: unknown): value is PluginExport {
  if (typeof value !== "object" || value === null) return false;
  const { kind, name } = value as Partial<PluginExport>;
  return typeof name === "string" && (kind === "serverUpdate" || kind === "trainingFunction");
}

const WORDS: Readonly<Record<PluginExport["kind"], string>> = {
  serverUpdate: "server update",
  trainingFunction: "training function",
};

/** Enough of a hash for a person to compare. */
function short(sha256: string): string {
  return `${sha256.slice(0, 12)}…`;
}
