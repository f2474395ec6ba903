// The index of a row table: from a 64-bit key to the address of its row, by open addressing with linear probing.
//
// A slot is 4 bytes: the row's address, a multiple of 8, with 3 bits of the key's hash in its low bits, so that seven
// of eight rows that are not the key's are told apart without a look at them. 0 is a free slot, 1 a tombstone.
//
// A look-up misses the cache twice, at its slot and at its row, and WebAssembly has no prefetch. So keys are looked up
// in blocks, in passes: hashes of all keys of a block, loads of their slots, rows that these point at, loads of the
// rows, comparisons (group prefetching: Chen et al., "Improving hash join performance through prefetching", ICDE 2004).
// The loads are loops of nothing else, so that as many as the CPU can hold are under way; what they load is summed up
// and stored, so that the optimiser keeps it.
//
// Per key, 4 M rows of 64 floats in 256 tables, 37 k keys drawn by Zipf 1.05, caches evicted before, fastest tenth of
// a loaded machine (2 vCPU AMD Zen 3, Node 24, November 2026): look-up 80 ns, 158 with hash and load of a slot in one
// loop, 86 in C with prefetch; gather 133, C 119; look-up and row-wise Adagrad 162, C 145. Blocks of 64 keys: 5 % more.

// The descriptor of a table: 64 bytes, all words; see `../table-kernels.ts`.
const SLOTS: usize = 0;
const SLOT_COUNT: usize = 4;
const USED_MAX: usize = 8;
const USED: usize = 12;
const LIVE: usize = 16;
const STRIDE: usize = 20;
const FREE_ROW: usize = 24;
const BUMP: usize = 28;
const BUMP_END: usize = 32;

// A row; see `../../table/row-layout.ts`.
const UPDATES: usize = 8;
const LAST_STEP: usize = 12;
/** In place of the last step of a row that nobody owns; its first word is the address of the next such row. */
const FREE: u32 = 0xffff_ffff;

const TOMBSTONE: u32 = 1;
const TAG: u32 = 7;

/** Keys of a block. */
export const BLOCK: u32 = 128;
// Scratch of one call, below what is ever allocated. Of the s-th key that is still searched for in a block: the slot
// where its search goes on, the row it may have, which key of the block it is and its tag. Then what a gather found,
// and what was touched.
const NEXT_SLOT: usize = 0;
const CANDIDATE: usize = 512;
const SEARCHED: usize = 1024;
const TAGS: usize = 1152;
export const FOUND: usize = 1280;
const TOUCHED: usize = 1792;

/** out[i] = address of the row of key i, or 0. Returns how many are absent. */
export function tableFind(table: usize, keys: usize, n: u32, out: usize): u32 {
  let absent: u32 = 0;
  for (let from: u32 = 0; from < n; from += BLOCK) {
    absent += findBlock(table, keys + (from << 3), min(n - from, BLOCK), out + (from << 2));
  }
  return absent;
}

/** Looks up at most BLOCK keys: found[i] = address of the row, or 0. Returns how many are absent. */
export function findBlock(table: usize, keys: usize, n: u32, found: usize): u32 {
  const slots: usize = load<u32>(table, SLOTS);
  const slotCount = load<u32>(table, SLOT_COUNT);
  if (slotCount == 0) {
    memory.fill(found, 0, n << 2);
    return n;
  }
  const end = slots + (slotCount << 2);
  for (let i: u32 = 0; i < n; i += 4) hashFour(keys + (i << 3), i, slots, slotCount);
  touchEach(NEXT_SLOT, n, 1);
  for (let i: u32 = 0; i < n; i++) store<u8>(SEARCHED + i, i);
  let absent: u32 = 0;
  for (let searched = n; searched > 0;) {
    for (let s: u32 = 0; s < searched; s++) {
      const slot = candidate(load<u32>(NEXT_SLOT + (s << 2)), load<u8>(TAGS + s), slots, end);
      store<u32>(CANDIDATE + (s << 2), load<u32>(slot) & ~TAG);
      store<u32>(NEXT_SLOT + (s << 2), <u32>after(slot, slots, end));
    }
    touchEach(CANDIDATE, searched, 1);
    let left: u32 = 0; // whose candidate has the tag of another key
    for (let s: u32 = 0; s < searched; s++) {
      const i: u32 = load<u8>(SEARCHED + s);
      const row = load<u32>(CANDIDATE + (s << 2));
      if (row == 0 || load<u64>(row) == load<u64>(keys + (i << 3))) {
        store<u32>(found + (i << 2), row);
        absent += row == 0 ? 1 : 0;
      } else {
        store<u32>(NEXT_SLOT + (left << 2), load<u32>(NEXT_SLOT + (s << 2)));
        store<u8>(TAGS + left, load<u8>(TAGS + s));
        store<u8>(SEARCHED + left, i);
        left++;
      }
    }
    searched = left;
  }
  return absent;
}

/** Writes where the search for four keys begins, and their tags. */
function hashFour(keys: usize, i: u32, slots: usize, slotCount: u32): void {
  const first = v128.load(keys);
  const second = v128.load(keys, 16);
  const lo = v128.shuffle<i32>(first, second, 0, 2, 4, 6);
  const hi = v128.shuffle<i32>(first, second, 1, 3, 5, 7);
  const hash = mixFour(v128.xor(mixFour(v128.xor(hi, i32x4.splat(0x7f4a7c15))), lo));
  const count = i32x4.splat(slotCount);
  const low = i64x2.extmul_low_i32x4_u(hash, count);
  const high = i64x2.extmul_high_i32x4_u(hash, count);
  const position = v128.shuffle<i32>(low, high, 1, 3, 5, 7);
  v128.store(NEXT_SLOT + (i << 2), i32x4.add(i32x4.splat(<u32>slots), i32x4.shl(position, 2)));
  const tags = v128.and(hash, i32x4.splat(TAG));
  const shorts = i16x8.narrow_i32x4_s(tags, tags);
  v128.store32_lane(TAGS + i, i8x16.narrow_i16x8_u(shorts, shorts), 0);
}

/** `mix` of four words. */
export function mixFour(x: v128): v128 {
  let h = x;
  h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 16)), i32x4.splat(0x7feb352d));
  h = i32x4.mul(v128.xor(h, i32x4.shr_u(h, 15)), i32x4.splat(0x846ca68b));
  return v128.xor(h, i32x4.shr_u(h, 16));
}

/** Of one row: what follows is fetched by the CPU's own prefetcher, and a block of rows shall fit in its caches. */
const TOUCHED_BYTES_MAX: u32 = 1024;

/**
 * Loads a word of each cache line of what `n` addresses point at and nothing else, so that many loads are under way.
 * The last line of a row that begins late in its first one is left out: loops of one length are foreseen by the CPU.
 */
export function touchEach(addresses: usize, n: u32, bytes: u32): void {
  const span: usize = min(bytes, TOUCHED_BYTES_MAX);
  let touched: u32 = 0;
  for (let at = addresses, end = addresses + (n << 2); at < end; at += 4) {
    const address: usize = load<u32>(at) & ~TAG;
    for (let line: usize = 0; line < span; line += 64) touched += load<u32>(address + line);
  }
  store<u32>(TOUCHED, touched);
}

/**
 * out[i] = address of the row of key i, with its low bit set where the row is new: its key is written, it has had no
 * updates, and its weights and state are whatever was there. Returns how many keys were done: fewer than `n` where the
 * next one is new and there is no slot or no row for it.
 */
export function tableInsert(table: usize, keys: usize, n: u32, out: usize): u32 {
  for (let from: u32 = 0; from < n; from += BLOCK) {
    const count = min(n - from, BLOCK);
    const blockKeys = keys + (from << 3);
    const found = out + (from << 2);
    if (findBlock(table, blockKeys, count, found) == 0) continue;
    for (let i: u32 = 0; i < count; i++) {
      if (load<u32>(found + (i << 2)) != 0) continue;
      const row = insertOne(table, load<u32>(blockKeys + (i << 3)), load<u32>(blockKeys + (i << 3), 4));
      if (row == 0) return from + i;
      store<u32>(found + (i << 2), row);
    }
  }
  return n;
}

/** The row of one key, with its low bit set where it is new, or 0 where there is no slot or no row for it. */
function insertOne(table: usize, lo: u32, hi: u32): u32 {
  const slots: usize = load<u32>(table, SLOTS);
  const slotCount = load<u32>(table, SLOT_COUNT);
  if (slotCount == 0) return 0;
  const end = slots + (slotCount << 2);
  const hash = slotHash(lo, hi);
  const key = ((<u64>hi) << 32) | lo;
  let slot = slotAt(slots, slotCount, hash);
  let tombstone: usize = 0;
  for (let tagged = load<u32>(slot); tagged != 0; tagged = load<u32>(slot)) {
    const row = tagged & ~TAG;
    if (tagged == TOMBSTONE) {
      if (tombstone == 0) tombstone = slot;
    } else if ((tagged & TAG) == (hash & TAG) && load<u64>(row) == key) return row;
    slot = after(slot, slots, end);
  }
  const used = load<u32>(table, USED);
  if (tombstone == 0 && used >= load<u32>(table, USED_MAX)) return 0;
  const row = takeRow(table);
  if (row == 0) return 0;
  store<u64>(row, key);
  store<u64>(row, 0, UPDATES); // and the last step
  if (tombstone == 0) store<u32>(table, used + 1, USED);
  else slot = tombstone;
  store<u32>(slot, row | (hash & TAG));
  store<u32>(table, load<u32>(table, LIVE) + 1, LIVE);
  return row | 1;
}

/** A row that nobody owns: one given back, else the next of the newest block; or 0. */
function takeRow(table: usize): u32 {
  const free = load<u32>(table, FREE_ROW);
  if (free != 0) {
    store<u32>(table, load<u32>(free), FREE_ROW);
    return free;
  }
  const row = load<u32>(table, BUMP);
  const stride = load<u32>(table, STRIDE);
  if (load<u32>(table, BUMP_END) - row < stride) return 0;
  store<u32>(table, row + stride, BUMP);
  return row;
}

/**
 * Takes rows out of the table. A slot becomes a tombstone, or free where no chain goes on behind it, with the
 * tombstones before it; rows go to the table's free list. The low bit of an address does not count.
 */
export function tableDelete(table: usize, rows: usize, n: u32): void {
  const slots: usize = load<u32>(table, SLOTS);
  const slotCount = load<u32>(table, SLOT_COUNT);
  const end = slots + (slotCount << 2);
  let used = load<u32>(table, USED);
  let free = load<u32>(table, FREE_ROW);
  for (let i: u32 = 0; i < n; i++) {
    const row = load<u32>(rows + (i << 2)) & ~TAG;
    let slot = slotAt(slots, slotCount, slotHash(load<u32>(row), load<u32>(row, 4)));
    while ((load<u32>(slot) & ~TAG) != row) slot = after(slot, slots, end);
    store<u32>(slot, TOMBSTONE);
    if (load<u32>(after(slot, slots, end)) == 0) {
      for (; load<u32>(slot) == TOMBSTONE; used--) {
        store<u32>(slot, 0);
        slot = (slot == slots ? end : slot) - 4;
      }
    }
    store<u32>(row, free);
    store<u32>(row, FREE, LAST_STEP);
    free = row;
  }
  store<u32>(table, used, USED);
  store<u32>(table, free, FREE_ROW);
  store<u32>(table, load<u32>(table, LIVE) - n, LIVE);
}

/**
 * Moves the table's rows into `n` slots from `slots` on, all of them 0, and makes these the table's. Rows stay where
 * they are. USED_MAX is the caller's to set.
 */
export function tableRehash(table: usize, slots: usize, n: u32): void {
  const end = slots + (n << 2);
  const first: usize = load<u32>(table, SLOTS);
  const last = first + (load<u32>(table, SLOT_COUNT) << 2);
  let touched: u32 = 0;
  for (let from = first; from < last; from += BLOCK << 2) {
    const to = min(from + (BLOCK << 2), last);
    for (let old = from; old < to; old += 4) touched += load<u32>(load<u32>(old) & ~TAG);
    for (let old = from; old < to; old += 4) {
      const tagged = load<u32>(old);
      if (tagged <= TOMBSTONE) continue;
      const row = tagged & ~TAG;
      let slot = slotAt(slots, n, slotHash(load<u32>(row), load<u32>(row, 4)));
      while (load<u32>(slot) != 0) slot = after(slot, slots, end);
      store<u32>(slot, tagged);
    }
  }
  store<u32>(TOUCHED, touched);
  store<u32>(table, <u32>slots, SLOTS);
  store<u32>(table, n, SLOT_COUNT);
  store<u32>(table, load<u32>(table, LIVE), USED);
}

/**
 * Writes the addresses of the rows in `max` slots from slot `from` on, or as many slots as there are, and returns how
 * many rows that were. Slots stay as they are until the next rehash.
 */
export function tableRows(table: usize, from: u32, out: usize, max: u32): u32 {
  const slotCount = load<u32>(table, SLOT_COUNT);
  if (from >= slotCount) return 0;
  const first: usize = load<u32>(table, SLOTS) + (from << 2);
  const end = first + (min(max, slotCount - from) << 2);
  let to = out;
  for (let slot = first; slot < end; slot += 4) {
    const tagged = load<u32>(slot);
    if (tagged <= TOMBSTONE) continue;
    store<u32>(to, tagged & ~TAG);
    to += 4;
  }
  return <u32>(to - out) >> 2;
}

/** 32 bits of a key, as in `../../hash.ts`. */
export function slotHash(lo: u32, hi: u32): u32 {
  return mix(mix(hi ^ 0x7f4a7c15) ^ lo);
}

export function mix(x: u32): u32 {
  let h = x;
  h = (h ^ (h >> 16)) * 0x7feb352d;
  h = (h ^ (h >> 15)) * 0x846ca68b;
  return h ^ (h >> 16);
}

/** Where the chain of a hash begins: the high bits of hash · slots, so any number of slots will do (Lemire, 2019). */
function slotAt(slots: usize, slotCount: u32, hash: u32): usize {
  return slots + ((<u32>((<u64>hash * <u64>slotCount) >> 32)) << 2);
}

function after(slot: usize, slots: usize, end: usize): usize {
  return slot + 4 == end ? slots : slot + 4;
}

/** The first slot from `slot` on that is free or has a row of this tag: four at once, one at a time before the end. */
function candidate(slot: usize, tag: u32, slots: usize, end: usize): usize {
  let at = slot;
  while (true) {
    for (; at + 16 <= end; at += 16) {
      const four = v128.load(at);
      const tagged = i32x4.eq(v128.and(four, i32x4.splat(TAG)), i32x4.splat(tag));
      const row = v128.and(tagged, i32x4.ne(four, i32x4.splat(TOMBSTONE)));
      const stops = i32x4.bitmask(v128.or(row, i32x4.eq(four, i32x4.splat(0))));
      if (stops != 0) return at + (ctz(stops) << 2);
    }
    for (; at < end; at += 4) {
      const one = load<u32>(at);
      if (one == 0 || ((one & TAG) == tag && one != TOMBSTONE)) return at;
    }
    at = slots;
  }
}
