import { expect, test } from "vitest";
import { FIRST_LIMITS, keepLimits, keptLimits, pauseFor, type Surroundings } from "./limits.ts";

const NOTHING: Surroundings = { isHidden: false, isFrozen: false, isOnBattery: false, isSavingData: false };

test.each([
  ["nothing", FIRST_LIMITS, NOTHING, undefined],
  ["a hidden tab, which may go on", FIRST_LIMITS, { ...NOTHING, isHidden: true }, undefined],
  ["a hidden tab, which may not", { ...FIRST_LIMITS, whileSeen: true }, { ...NOTHING, isHidden: true }, "hidden"],
  ["a frozen tab", FIRST_LIMITS, { ...NOTHING, isFrozen: true }, "hidden"],
  ["the battery, which may be used", FIRST_LIMITS, { ...NOTHING, isOnBattery: true }, undefined],
  ["the battery, which may not", { ...FIRST_LIMITS, mainsOnly: true }, { ...NOTHING, isOnBattery: true }, "battery"],
  ["a browser that saves data", FIRST_LIMITS, { ...NOTHING, isSavingData: true }, "data"],
  ["data saved in vain", { ...FIRST_LIMITS, dataSaver: false }, { ...NOTHING, isSavingData: true }, undefined],
  ["2 MB of 2", { ...FIRST_LIMITS, megabytesMax: 2 }, NOTHING, "limits"],
  ["2 MB of 3", { ...FIRST_LIMITS, megabytesMax: 3 }, NOTHING, undefined],
])("%s: paused for %#", (_, limits, around, reason) => {
  expect(pauseFor(limits, around, 2e6)).toBe(reason);
});

test("limits are kept, but not that others may connect; what is no limit is as at first", () => {
  const items = new Map<string, string>();
  const store = {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  } as Storage;
  expect(keptLimits(store)).toEqual(FIRST_LIMITS);
  const mine = {
    sharePercent: 30,
    mainsOnly: true,
    whileSeen: true,
    dataSaver: false,
    megabytesMax: 500,
    mayConnect: false,
  };
  keepLimits(store, { ...mine, mayConnect: true });
  expect(keptLimits(store)).toEqual(mine);
  for (const broken of ["{", "7", "null", '{"sharePercent":1000,"mainsOnly":"yes","megabytesMax":-1}']) {
    store.setItem("volary.limits", broken);
    expect(keptLimits(store)).toEqual(FIRST_LIMITS);
  }
});
