/**
 * The coordinator's state in an embedded database: SQLite as it comes with Node, in WAL mode with a full sync at
 * each commit, so that what was saved survives a power cut. One process at a time holds the file.
 */
import type { DatabaseSync } from "node:sqlite";
import { jsonOf, type CoordinatorStore } from "../coordinator/store.ts";

/** "VOLA": tells our files from other SQLite databases. */
const APPLICATION_ID = 0x564f4c41;
const SCHEMA_VERSION = 1;
const SQLITE_BUSY = 5;
const BUSY_TIMEOUT_MS = 200;

/**
 * Opens the database at `path`, or creates it; its folder must exist. `pagesMax` bounds its size, 4 KB a page.
 *
 * @throws {Error} the file is no database of a coordinator, is of a later version, or another process holds it
 */
export async function sqliteStore(path: string, { pagesMax }: { pagesMax?: number } = {}): Promise<CoordinatorStore> {
  const { DatabaseSync } = await import("node:sqlite");
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  } catch (cause) {
    throw openError(path, cause);
  }
  try {
    prepare(database, path);
    if (pagesMax !== undefined) database.exec(`PRAGMA max_page_count = ${pagesMax}`);
  } catch (cause) {
    database.close();
    throw openError(path, cause);
  }
  return storeOf(database, path);
}

function prepare(database: DatabaseSync, path: string): void {
  database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.exec("BEGIN IMMEDIATE");
  const id = pragma(database, "application_id");
  const version = pragma(database, "user_version");
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
  if (id === 0 && tables === 0) {
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
    database.exec("CREATE TABLE records (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID");
  } else if (id !== APPLICATION_ID) {
    throw new Error(`${path} is a database of another program; name another file`);
  } else if (version !== SCHEMA_VERSION) {
    throw new Error(
      `${path} is of version ${String(version)}, this release reads ${SCHEMA_VERSION}; run the release that wrote it`,
    );
  }
  database.exec("COMMIT");
}

function storeOf(database: DatabaseSync, path: string): CoordinatorStore {
  const put = database.prepare("INSERT INTO records VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const remove = database.prepare("DELETE FROM records WHERE key = ?");
  const all = database.prepare("SELECT key, value FROM records ORDER BY key");
  return {
    load: async () =>
      new Map(all.all().map((row) => [String(row["key"]), JSON.parse(String(row["value"])) as unknown])),
    save: async (records) => {
      const changes = Array.from(records, ([key, value]) => [key, jsonOf(value)] as const);
      database.exec("BEGIN IMMEDIATE");
      try {
        for (const [key, json] of changes) {
          if (json === undefined) remove.run(key);
          else put.run(key, json);
        }
        database.exec("COMMIT");
      } catch (cause) {
        if (database.isTransaction) database.exec("ROLLBACK");
        throw new Error(`cannot write ${path}: ${messageOf(cause)}; free space on its disk`, { cause });
      }
    },
    close: async () => {
      if (database.isOpen) database.close();
    },
  };
}

function pragma(database: DatabaseSync, name: string): unknown {
  return database.prepare(`PRAGMA ${name}`).get()?.[name];
}

function openError(path: string, cause: unknown): Error {
  const code = (cause as { errcode?: number }).errcode;
  if (code === undefined && cause instanceof Error) return cause;
  const why =
    code === SQLITE_BUSY ? "another process holds it; does a coordinator run on it already?" : messageOf(cause);
  return new Error(`cannot open ${path}: ${why}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
