/**
 * Visits to an imagined shop, row by row: who looked at what, when, and whether they bought it. Row i is a pure function
 * of i, so the same file comes out everywhere. What there is to learn: items that sell, users who buy, a price and hours
 * that put off, and each user's taste for a category and a tag.
 */

export interface Visit {
  user: number;
  item: number;
  category: string;
  /** As a file would have them, with "|" in between. */
  tags: string;
  price: number;
  /** ISO 8601, UTC. */
  time: string;
  bought: 0 | 1;
}

const USERS = 2_000;
const ITEMS = 500;
const CATEGORIES = ["books", "games", "garden", "kitchen", "music", "shoes", "tools", "toys"] as const;
const TAGS = ["new", "sale", "used", "gift", "green", "local"] as const;
const FIRST_MS = Date.UTC(2026, 0, 1);
const MINUTE_MS = 60_000;

/** Visit number `row`, from 0. */
export function visit(row: number): Visit {
  const user = Math.floor(USERS * share("user", row) ** 1.5);
  const item = Math.floor(ITEMS * share("item", row) ** 2);
  const category = oneOf(CATEGORIES, "category", item);
  const tags = TAGS.filter((tag) => share(tag, item) < 0.35);
  const price = 2 + Math.round(9_800 * share("price", item) ** 3) / 100;
  const time = new Date(FIRST_MS + Math.floor(row / 3) * MINUTE_MS);
  const taste =
    (category === oneOf(CATEGORIES, "favourite", user) ? 2 : 0) + (tags.includes(oneOf(TAGS, "liked", user)) ? 1 : 0);
  const logit =
    3 * share("appeal", item) +
    3 * share("spends", user) +
    taste -
    Math.log(price) +
    Math.cos((2 * Math.PI * (time.getUTCHours() - 20)) / 24) -
    2.5;
  const bought = share("bought", row) < 1 / (1 + Math.exp(-logit)) ? 1 : 0;
  return {
    user: 10_000 + user,
    item: 70_000 + item,
    category,
    tags: tags.join("|"),
    price,
    time: time.toISOString(),
    bought,
  };
}

/** Visits [from, to). */
export function visits(from: number, to: number): Visit[] {
  return Array.from({ length: to - from }, (_, i) => visit(from + i));
}

function oneOf<const T>(values: readonly T[], what: string, id: number): T {
  return values[Math.floor(values.length * share(what, id))]!;
}

/** In [0, 1), of a name and a number: FNV-1a, then the finaliser of MurmurHash3. */
function share(what: string, id: number): number {
  let hash = 0x811c9dc5 ^ id;
  for (let i = 0; i < what.length; i++) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
