/**
 * A trained model as a folder:
 *
 *     model.json               format, version, job manifest, metrics, and bytes and SHA-256 of every other file
 *     dense.bin                f32 LE, all dense variables in order
 *     tables/NAME.keys.bin     u64 LE [K], in no particular order
 *     tables/NAME.rows.bin     f32 LE [K, dim]
 *
 * Every file is written under another name and renamed when it is whole; model.json is taken away first and comes
 * last. So a folder with a model.json is whole, and one where saving was interrupted has none.
 */
import { createHash, type Hash } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import path from "node:path";
import type { ExportedRows } from "@volary/core/client";
import { jobManifestSchema, type JobManifest } from "@volary/core/job";
import type { TableSpec } from "@volary/core/table";
import { denseFloats } from "@volary/core/training";
import { codeOf, messageOf, UserError } from "../user-error.ts";

/** A trained model, read back from its folder. */
export interface SavedModel {
  readonly folder: string;
  readonly manifest: JobManifest;
  readonly metrics: Readonly<Record<string, number>>;
  /** float32, all variables in order. */
  readonly dense: Float32Array;
  /** By table name. */
  readonly tables: ReadonlyMap<string, SavedTable>;
}

/** All rows of an embedding table, in the same order as their keys. */
export interface SavedTable {
  /** 64-bit keys, unique, shape [K]. */
  readonly keys: BigUint64Array;
  /** float32, shape [K, dim]. */
  readonly rows: Float32Array;
}

/** What was written where. */
export interface SavedSize {
  readonly folder: string;
  /** Rows of all embedding tables. */
  readonly rows: number;
  readonly bytes: number;
}

export interface ModelToSave {
  manifest: JobManifest;
  metrics: Readonly<Record<string, number>>;
  /** float32, all variables in order. */
  dense: Float32Array;
  /** Every row of a table once, in chunks. */
  rowsOf(table: TableSpec): AsyncIterable<ExportedRows>;
}

const FORMAT = "volary-model";
const VERSION = 1;
const INDEX = "model.json";
const DENSE = "dense.bin";
/** A file name holds 255 bytes; what we add to it needs some. */
const NAME_LENGTH_MAX = 200;

interface FileEntry {
  bytes: number;
  sha256: string;
}

/**
 * Makes sure that a model can be saved to a folder, before anyone trains for hours.
 *
 * @throws {UserError} the folder cannot be written: why, and the remedy
 */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(path.join(folder, "tables"), { recursive: true });
    const probe = await TemporaryFile.create(path.join(folder, INDEX));
    await probe.discard();
  } catch (error) {
    throw writeFailure(folder, error);
  }
}

/**
 * Saves a model to a folder, over one that lies there.
 *
 * @throws {UserError} the folder cannot be written: why, and the remedy
 */
export async function saveModel(folder: string, model: ModelToSave): Promise<SavedSize> {
  const files: Record<string, FileEntry> = {};
  const writing = new Map<string, TemporaryFile>();
  const begin = async (name: string) => {
    const file = await TemporaryFile.create(path.join(folder, name));
    writing.set(name, file);
    return file;
  };
  let rows = 0;
  try {
    await mkdir(path.join(folder, "tables"), { recursive: true });
    await (await begin(DENSE)).write(model.dense);
    for (const table of model.manifest.tables) {
      const keysFile = await begin(keysName(table));
      const rowsFile = await begin(rowsName(table));
      for await (const chunk of model.rowsOf(table)) {
        await keysFile.write(chunk.keys);
        await rowsFile.write(chunk.values);
        rows += chunk.keys.length;
      }
    }
    for (const [name, file] of writing) files[name] = await file.finish();
    const index = await TemporaryFile.create(path.join(folder, INDEX));
    writing.set(INDEX, index);
    const { manifest, metrics } = model;
    await index.write(
      new TextEncoder().encode(
        JSON.stringify({ format: FORMAT, version: VERSION, manifest, metrics, files }, undefined, 1),
      ),
    );
    const { bytes } = await index.finish();
    await rm(path.join(folder, INDEX), { force: true });
    for (const file of writing.values()) await file.publish();
    return { folder, rows, bytes: Object.values(files).reduce((sum, file) => sum + file.bytes, bytes) };
  } catch (error) {
    await Promise.all([...writing.values()].map((file) => file.discard()));
    throw writeFailure(folder, error);
  }
}

/**
 * Loads a saved model and checks that every byte is there.
 *
 * @throws {UserError} no model, another format, or a damaged file: its name, expected and found bytes, the remedy
 */
export async function loadModel(folder: string): Promise<SavedModel> {
  const { manifest, metrics, files } = await readIndex(folder);
  const read = async (name: string, bytes?: number): Promise<ArrayBuffer> => {
    const entry = files[name];
    if (!entry) throw damaged(folder, `${INDEX} does not list ${name}`);
    if (bytes !== undefined && entry.bytes !== bytes) {
      throw damaged(folder, `${name} is listed with ${entry.bytes} bytes, but the manifest calls for ${bytes}`);
    }
    return readChecked({ folder, name, entry });
  };
  const dense = new Float32Array(await read(DENSE, 4 * denseFloats(manifest.model.variables)));
  const tables = new Map<string, SavedTable>();
  for (const table of manifest.tables) {
    const keys = new BigUint64Array(await read(keysName(table)));
    const rows = new Float32Array(await read(rowsName(table), 4 * table.dim * keys.length));
    tables.set(table.name, { keys, rows });
  }
  return { folder, manifest, metrics, dense, tables };
}

interface Index {
  manifest: JobManifest;
  metrics: Record<string, number>;
  files: Record<string, FileEntry>;
}

async function readIndex(folder: string): Promise<Index> {
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) {
    const what = found ? "is a file, not a folder" : "does not exist";
    throw new UserError(`model folder ${folder} ${what}; give the folder that \`volary train --save\` wrote`);
  }
  const text = await readFile(path.join(folder, INDEX), "utf8").catch((cause: unknown) => {
    throw new UserError(
      `${folder} holds no saved model: ${codeOf(cause) === "ENOENT" ? `it has no ${INDEX}` : messageOf(cause)}; ` +
        "give the folder that `volary train --save` wrote (one where saving was interrupted must be saved again)",
      { cause },
    );
  });
  return parseIndex(folder, text);
}

function parseIndex(folder: string, text: string): Index {
  const where = path.join(folder, INDEX);
  let value: Partial<Index> & { format?: unknown; version?: unknown };
  try {
    value = JSON.parse(text) as typeof value;
  } catch (cause) {
    throw new UserError(`${where} is not JSON (${messageOf(cause)}); it is damaged, save the model again`, { cause });
  }
  if (value?.format !== FORMAT) {
    throw new UserError(
      `${where} is not from Volary: its "format" is ${JSON.stringify(value?.format) ?? "missing"}, expected "${FORMAT}"`,
    );
  }
  if (value.version !== VERSION) {
    throw new UserError(
      `${where} has format version ${String(value.version)}; this Volary reads version ${VERSION}: load it with the Volary that saved it`,
    );
  }
  const parsed = jobManifestSchema.safeParse(value.manifest);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new UserError(
      `${where}: manifest.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not valid"}; the file is damaged, save the model again`,
    );
  }
  if (typeof value.files !== "object" || value.files === null) throw damaged(folder, `${INDEX} lists no files`);
  return { manifest: parsed.data, metrics: value.metrics ?? {}, files: value.files };
}

async function readChecked({
  folder,
  name,
  entry,
}: {
  folder: string;
  name: string;
  entry: FileEntry;
}): Promise<ArrayBuffer> {
  const bytes = await readFile(path.join(folder, name)).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT") throw damaged(folder, `${name} is missing, expected ${entry.bytes} bytes`);
    throw damaged(folder, `${name} cannot be read: ${messageOf(cause)}`);
  });
  if (bytes.byteLength !== entry.bytes) {
    throw damaged(folder, `${name} has ${bytes.byteLength} bytes, expected ${entry.bytes}`);
  }
  if (createHash("sha256").update(bytes).digest("hex") !== entry.sha256) {
    throw damaged(folder, `${name} has its ${entry.bytes} bytes, but not those that were saved (SHA-256 differs)`);
  }
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

const damaged = (folder: string, what: string): UserError =>
  new UserError(`saved model ${folder} is damaged: ${what}; save the model again or copy the folder anew`);

function writeFailure(folder: string, error: unknown): unknown {
  const remedies: Record<string, string> = {
    ENOSPC: "the disk is full; free some space or give another folder",
    EDQUOT: "the disk quota is used up; free some space or give another folder",
    EACCES: "no permission; give a folder that you may write to",
    EPERM: "no permission; give a folder that you may write to",
    EROFS: "the disk is read-only; give another folder",
    ENOTDIR: "a part of the path is a file; give another folder",
    EEXIST: "a file has that name; give another folder",
  };
  const remedy = remedies[codeOf(error)];
  return remedy === undefined
    ? error
    : new UserError(`cannot save the model to ${folder}: ${remedy}`, { cause: error });
}

const keysName = (table: TableSpec): string => `tables/${fileName(table)}.keys.bin`;
const rowsName = (table: TableSpec): string => `tables/${fileName(table)}.rows.bin`;

/** A table's name where it can be a file name on any system, else the table's number. */
function fileName({ id, name }: TableSpec): string {
  return /^[\w-][\w .-]*$/.test(name) && name.length <= NAME_LENGTH_MAX ? name : `table-${id}`;
}

/** A file under another name until it is whole. */
class TemporaryFile {
  readonly #target: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;

  private constructor({ target, temporary, handle }: { target: string; temporary: string; handle: FileHandle }) {
    this.#target = target;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  static async create(target: string): Promise<TemporaryFile> {
    const temporary = `${target}.${process.pid}.tmp`;
    return new TemporaryFile({ target, temporary, handle: await open(temporary, "w") });
  }

  async write({ buffer, byteOffset, byteLength }: ArrayBufferView): Promise<void> {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.#hash.update(bytes);
    for (let at = 0; at < byteLength;) at += (await this.#handle.write(bytes, at)).bytesWritten;
    this.#bytes += byteLength;
  }

  /** Makes it durable under its temporary name. */
  async finish(): Promise<FileEntry> {
    await this.#handle.sync();
    await this.#handle.close();
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }

  async publish(): Promise<void> {
    await rename(this.#temporary, this.#target);
  }

  /** Of a file that will not be; what it costs to fail at that is a stray file. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true }).catch(() => {});
  }
}
