import { trying, type Stores } from "./stores.ts";

/**
 * A session that outlives a reload. Each tab has its own; a tab that has none goes on with the newest one of this
 * browser, which is how an old link, or a bookmark, still finds its job.
 */
export interface KeptSession {
  session: string;
  /** Of the link that it began with: the invitation is checked against it again. */
  keyId: string;
}

const KEY = "volary.session";

export function keepSession({ tab, browser }: Stores, kept: KeptSession): void {
  for (const store of [tab, browser]) trying(() => store.setItem(KEY, JSON.stringify(kept)));
}

export function keptSession({ tab, browser }: Stores): KeptSession | undefined {
  return trying(() => sessionFrom(tab.getItem(KEY))) ?? trying(() => sessionFrom(browser.getItem(KEY)));
}

export function forgetSession({ tab, browser }: Stores, { session }: Pick<KeptSession, "session">): void {
  for (const store of [tab, browser])
    trying(() => {
      if (sessionFrom(store.getItem(KEY))?.session === session) store.removeItem(KEY);
    });
}

function sessionFrom(json: string | null): KeptSession | undefined {
  const value = JSON.parse(json ?? "null") as Partial<KeptSession> | null;
  if (typeof value?.session !== "string" || typeof value.keyId !== "string") return undefined;
  return { session: value.session, keyId: value.keyId };
}
