import type { LinkFragment } from "@volary/core/job";
import { trying, type Stores } from "./stores.ts";

/**
 * A token that was taken from a link, and the secret that it is redeemed with: kept until the answer is there, as it may
 * be lost when the token is of no use any more. Of the tab, where a reload finds it, and of the browser, for who opens
 * the same link once more.
 */
export interface Claim extends LinkFragment {
  claim: string;
}

const KEY = "volary.claim";

export function keepClaim({ tab, browser }: Stores, claim: Claim): void {
  for (const store of [tab, browser]) trying(() => store.setItem(KEY, JSON.stringify(claim)));
}

/** That of the tab; that of the browser only for the link which it is of. */
export function keptClaim({ tab, browser }: Stores, fragment: LinkFragment | undefined): Claim | undefined {
  const ofTab = trying(() => claimFrom(tab.getItem(KEY)));
  if (!fragment) return ofTab;
  const isOfLink = (claim: Claim | undefined) => claim?.token === fragment.token && claim.keyId === fragment.keyId;
  return [ofTab, trying(() => claimFrom(browser.getItem(KEY)))].find(isOfLink);
}

export function forgetClaim({ tab, browser }: Stores, { claim }: Pick<Claim, "claim">): void {
  for (const store of [tab, browser])
    trying(() => {
      if (claimFrom(store.getItem(KEY))?.claim === claim) store.removeItem(KEY);
    });
}

function claimFrom(json: string | null): Claim | undefined {
  const { token, keyId, claim } = (JSON.parse(json ?? "null") ?? {}) as Partial<Claim>;
  if (typeof token !== "string" || typeof keyId !== "string" || typeof claim !== "string") return undefined;
  return { token, keyId, claim };
}
