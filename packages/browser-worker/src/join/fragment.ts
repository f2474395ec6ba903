/** A join link's fragment, taken once: it lets whoever reads it in, so it does not stay in the address bar or history. */
import { parseFragment, type LinkFragment } from "@volary/core/job";

export interface AddressBar {
  readonly location: Pick<Location, "hash" | "pathname" | "search">;
  readonly history: Pick<History, "replaceState">;
}

/** @returns undefined where the page was opened without one */
export function takeFragment({ location, history }: AddressBar): LinkFragment | undefined {
  const { hash, pathname, search } = location;
  if (hash !== "") history.replaceState(null, "", pathname + search);
  return parseFragment(hash);
}
