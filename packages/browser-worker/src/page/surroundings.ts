/** What the browser tells of a tab's life: seen or hidden, frozen, on battery, saving data, back on the network. */
import type { Surroundings } from "./limits.ts";

/** Not in TypeScript's library: https://www.w3.org/TR/battery-status/ and https://wicg.github.io/netinfo/ */
interface MoreNavigator {
  getBattery?: () => Promise<EventTarget & { charging: boolean }>;
  connection?: EventTarget & { saveData?: boolean };
}

export interface SurroundingsEvents {
  onChange: (around: Surroundings) => void;
  /** The tab woke up, or has a network again. */
  onReturn: () => void;
}

/** Can the browser tell whether a battery runs the machine? */
export const tellsBattery = (): boolean => "getBattery" in navigator;

export function watchSurroundings({ onChange, onReturn }: SurroundingsEvents): void {
  const { connection, getBattery } = navigator as MoreNavigator;
  const around: Surroundings = {
    isHidden: document.visibilityState === "hidden",
    isFrozen: false,
    isOnBattery: false,
    isSavingData: connection?.saveData === true,
  };
  const change = (changed: Partial<Surroundings>) => onChange({ ...Object.assign(around, changed) });
  document.addEventListener("visibilitychange", () => change({ isHidden: document.visibilityState === "hidden" }));
  // https://developer.chrome.com/docs/web-platform/page-lifecycle-api
  document.addEventListener("freeze", () => change({ isFrozen: true }));
  document.addEventListener("resume", () => {
    change({ isFrozen: false });
    onReturn();
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    change({ isFrozen: false });
    onReturn();
  });
  addEventListener("online", onReturn);
  connection?.addEventListener("change", () => change({ isSavingData: connection.saveData === true }));
  getBattery?.call(navigator).then(
    (battery) => {
      const told = () => change({ isOnBattery: !battery.charging });
      battery.addEventListener("chargingchange", told);
      told();
    },
    () => {}, // a browser that does not tell is as a machine without a battery
  );
  change({});
}
