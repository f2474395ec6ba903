/** The embedded database keeps the store's contract, and refuses files that are not its own in plain words. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { storeContract } from "../coordinator/store.contract.ts";
import { sqliteStore } from "./sqlite-store.ts";

const newFolder = () => mkdtemp(path.join(tmpdir(), "volary-store-"));

storeContract("sqliteStore()", {
  durability: "kept",
  start: async () => {
    const folder = await newFolder();
    return {
      open: () => sqliteStore(path.join(folder, "coordinator.sqlite")),
      cleanUp: () => rm(folder, { recursive: true }),
    };
  },
});

describe("sqliteStore()", () => {
  let folder: string;
  let file: string;

  beforeEach(async () => {
    folder = await newFolder();
    file = path.join(folder, "coordinator.sqlite");
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("lets one process at a time hold a file", async () => {
    const first = await sqliteStore(file);
    await expect(sqliteStore(file)).rejects.toThrow(
      `cannot open ${file}: another process holds it; does a coordinator run on it already?`,
    );
    await first.save(new Map([["a", 1]]));
    await first.close();
    const second = await sqliteStore(file);
    expect(await second.load()).toEqual(new Map([["a", 1]]));
    await second.close();
  });

  it("has what was saved when the process died without closing", async () => {
    const copy = path.join(folder, "copy.sqlite");
    const store = await sqliteStore(file);
    await store.save(new Map([["a", 1]]));
    await writeFile(copy, await readFile(file));
    await writeFile(`${copy}-wal`, await readFile(`${file}-wal`));
    await store.close();
    const found = await sqliteStore(copy);
    expect(await found.load()).toEqual(new Map([["a", 1]]));
    await found.close();
  });

  it("leaves a file alone that is no database", async () => {
    await writeFile(file, "notes of mine ".repeat(100));
    await expect(sqliteStore(file)).rejects.toThrow(`cannot open ${file}: file is not a database`);
    expect(await readFile(file, "utf8")).toContain("notes of mine");
  });

  it("leaves a database alone that is another program's, or of another version", async () => {
    const theirs = new DatabaseSync(file);
    theirs.exec("CREATE TABLE birds (name TEXT)");
    theirs.close();
    await expect(sqliteStore(file)).rejects.toThrow(`${file} is a database of another program`);
    const later = path.join(folder, "later.sqlite");
    await (await sqliteStore(later)).close();
    const database = new DatabaseSync(later);
    database.exec("PRAGMA user_version = 9");
    database.close();
    await expect(sqliteStore(later)).rejects.toThrow(`${later} is of version 9, this release reads 1`);
  });

  it("names the file in a folder that does not exist", async () => {
    const lost = path.join(folder, "no/such/coordinator.sqlite");
    await expect(sqliteStore(lost)).rejects.toThrow(`cannot open ${lost}: unable to open database file`);
  });

  it("says that it cannot write, and where, and can again when there is room", async () => {
    const store = await sqliteStore(file);
    await store.save(new Map([["a", 1]]));
    // A full disk, as SQLite reports it: the database may not grow.
    await store.close();
    const small = new DatabaseSync(file);
    const pages = small.prepare("PRAGMA page_count").get()!["page_count"] as number;
    small.close();
    const full = await sqliteStore(file, { pagesMax: pages + 1 });
    await expect(full.save(new Map([["big", "x".repeat(100_000)]]))).rejects.toThrow(
      `cannot write ${file}: database or disk is full; free space on its disk`,
    );
    await full.save(new Map([["a", 2]]));
    expect(await full.load()).toEqual(new Map([["a", 2]]));
    await full.close();
  });
});
