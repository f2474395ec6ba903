import { seededRandom, SimulatedClock } from "@volary/core/testing";
import { expect, test } from "vitest";
import { SimulatedStore, type SimulatedStoreOptions } from "./simulated-store.ts";

function storeWith(o: Partial<SimulatedStoreOptions> = {}): { store: SimulatedStore; clock: SimulatedClock } {
  const clock = new SimulatedClock();
  const store = new SimulatedStore({ clock, random: seededRandom(1), delayMaxMs: 10, full: [], ...o });
  return { store, clock };
}

test("what was saved is there for the next coordinator, as it was then", async () => {
  const { store, clock } = storeWith();
  const record = { version: 1 };
  const saving = store.save(new Map([["map", record]]));
  record.version = 2;
  await clock.until(saving);
  expect(await store.load()).toEqual(new Map([["map", { version: 1 }]]));
});

test("a save under way has not happened, and happens although nobody waits for it", async () => {
  const { store, clock } = storeWith({ random: { ...seededRandom(1), between: ({ max }) => max } });
  void store.save(new Map([["a", 1]]));
  expect(await store.load()).toEqual(new Map());
  await clock.until(new Promise<void>((resolve) => void clock.after(11, resolve)));
  expect(await store.load()).toEqual(new Map([["a", 1]]));
});

test("a record of undefined is taken away", async () => {
  const { store, clock } = storeWith();
  await clock.until(store.save(new Map([["a", 1]])));
  await clock.until(store.save(new Map([["a", undefined]])));
  expect(await store.load()).toEqual(new Map());
});

test("a full disk keeps nothing of a save, and tells nobody", async () => {
  const told: string[] = [];
  const full = [{ fromMs: 0, toMs: 50 }];
  const { store, clock } = storeWith({ full, onSaved: (key) => told.push(key) });
  const records = new Map([
    ["a", 1],
    ["b", 2],
  ]);
  await expect(clock.until(store.save(records))).rejects.toThrow("no space left");
  expect(store.isIdle).toBe(false); // it is tried again
  expect([await store.load(), store.failed, told]).toEqual([new Map(), 1, []]);
  await clock.until(new Promise<void>((resolve) => void clock.after(60, resolve)));
  const again = store.save(records);
  expect(store.isIdle).toBe(false);
  await clock.until(again);
  expect(store.isIdle).toBe(true);
  expect([await store.load(), told]).toEqual([records, ["a", "b"]]);
});
