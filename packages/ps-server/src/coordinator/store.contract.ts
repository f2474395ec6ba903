/** What every store of the coordinator must do: in memory, SQLite, and whatever joins them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CoordinatorStore } from "./store.ts";

export interface StoreHarness {
  /** Opens the one store of this test; again after a close, if it keeps anything. */
  open(): Promise<CoordinatorStore>;
  cleanUp(): Promise<void>;
}

export function storeContract(
  name: string,
  { start, durability }: { start: () => Promise<StoreHarness>; durability: "kept" | "in memory" },
): void {
  describe(`${name} as the coordinator's store`, () => {
    let harness: StoreHarness;
    let store: CoordinatorStore;

    beforeEach(async () => {
      harness = await start();
      store = await harness.open();
    });
    afterEach(async () => {
      await store.close();
      await harness.cleanUp();
    });

    const contents = async () => Object.fromEntries(await store.load());

    it("begins empty", async () => {
      expect(await contents()).toEqual({});
    });

    it("returns what was saved last, of every kind that JSON has", async () => {
      await store.save(
        new Map<string, unknown>([
          ["ids", { node: 1 }],
          ["map", [1, 2]],
          ["text", "ж \u{1F426} '\"; --"],
        ]),
      );
      await store.save(
        new Map<string, unknown>([
          ["ids", { node: 2 }],
          ["none", null],
          ["zero", 0],
          ["no", false],
        ]),
      );
      expect(await contents()).toEqual({
        ids: { node: 2 },
        map: [1, 2],
        text: "ж \u{1F426} '\"; --",
        none: null,
        zero: 0,
        no: false,
      });
    });

    it("deletes a key that is saved as undefined", async () => {
      await store.save(
        new Map([
          ["a", 1],
          ["b", 2],
        ]),
      );
      await store.save(
        new Map([
          ["a", undefined],
          ["never", undefined],
        ]),
      );
      expect(await contents()).toEqual({ b: 2 });
    });

    it("saves all records or none", async () => {
      await store.save(new Map([["a", 1]]));
      const circular: Record<string, unknown> = {};
      circular["self"] = circular;
      for (const bad of [1n, circular]) {
        await expect(
          store.save(
            new Map<string, unknown>([
              ["a", 2],
              ["b", 3],
              ["bad", bad],
            ]),
          ),
        ).rejects.toThrow();
      }
      expect(await contents()).toEqual({ a: 1 });
      await store.save(new Map([["c", 4]]));
      expect(await contents()).toEqual({ a: 1, c: 4 });
    });

    it("shares nothing with what was saved or loaded", async () => {
      const value = { list: [1] };
      await store.save(new Map([["a", value]]));
      value.list.push(2);
      (await store.load()).set("b", 1);
      ((await store.load()).get("a") as typeof value).list.push(3);
      expect(await contents()).toEqual({ a: { list: [1] } });
    });

    it("keeps the order of saves that do not wait for each other", async () => {
      await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          store.save(
            new Map([
              ["n", i],
              [`k${i % 7}`, i],
            ]),
          ),
        ),
      );
      expect((await contents())["n"]).toBe(49);
    });

    it("takes keys that look like names of objects' own", async () => {
      await store.save(
        new Map([
          ["__proto__", 1],
          ["constructor", 2],
          ["", 3],
        ]),
      );
      const loaded = await store.load();
      expect([loaded.get("__proto__"), loaded.get("constructor"), loaded.get("")]).toEqual([1, 2, 3]);
    });

    it("closes twice without complaint", async () => {
      await store.close();
      await store.close();
    });

    if (durability === "kept") {
      it("has everything again when it is opened again", async () => {
        await store.save(
          new Map([
            ["a", 1],
            ["b", 2],
          ]),
        );
        await store.save(new Map([["b", undefined]]));
        await store.close();
        store = await harness.open();
        expect(await contents()).toEqual({ a: 1 });
      });
    }
  });
}
