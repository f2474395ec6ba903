/** Opens the link of an observer. A chunk of its own: who computes has no use for it. */
import { realClock } from "../clock.ts";
import { browserDialer } from "../dial.ts";
import { Observer, type ObserverOptions } from "./observer.ts";
import { watchSurroundings } from "./surroundings.ts";

export function watch(o: Pick<ObserverOptions, "gateway" | "session" | "name" | "onState">): void {
  const observer = new Observer({ ...o, dialer: browserDialer(), clock: realClock, random: Math.random });
  watchSurroundings({ onChange: () => {}, onReturn: () => observer.hurry() });
  void observer.run();
}
