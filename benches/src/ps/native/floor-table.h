/*
 * A table as C would have it: open addressing over 16-byte entries that hold key, place and the accumulator of
 * row-wise Adagrad, rows of floats in one array, and prefetches that run ahead of the loops: of an entry by two
 * blocks, of a row by one. It never grows and deletes nothing.
 */
#ifndef FLOOR_TABLE_H
#define FLOOR_TABLE_H

#include <math.h>

#include "workload.h"

enum { BLOCK = 32, LINE_FLOATS = 16 };

typedef struct {
  uint64_t key;
  /* 1 + number of the row; 0: the entry is free. */
  uint32_t place;
  float accumulator;
} entry;

typedef struct {
  entry *entries;
  float *rows;
  uint32_t bits, dim, used, capacity;
} table;

static inline table new_table(uint32_t capacity, uint32_t dim) {
  table t = {NULL, NULL, 1, dim, 0, capacity};
  while ((1ull << t.bits) * 2 < (uint64_t)capacity * 3) t.bits++;
  t.entries = memory((sizeof(entry)) << t.bits);
  memset(t.entries, 0, (sizeof(entry)) << t.bits);
  t.rows = memory(4 * (size_t)capacity * dim);
  return t;
}

static inline size_t first_slot(const table *t, uint64_t key) { return (key * 0x9e3779b97f4a7c15ull) >> (64 - t->bits); }

/* The entry of a key, or the free one where it belongs. */
static inline entry *find(const table *t, uint64_t key) {
  const size_t mask = ((size_t)1 << t->bits) - 1;
  for (size_t slot = first_slot(t, key);; slot = (slot + 1) & mask) {
    entry *e = &t->entries[slot];
    if (e->key == key || e->place == 0) return e;
  }
}

static inline float *row_of(const table *t, const entry *e) { return t->rows + (size_t)(e->place - 1) * t->dim; }

static inline void prefetch_entries(const table *t, const uint64_t *keys, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++) __builtin_prefetch(&t->entries[first_slot(t, keys[i])]);
}

static inline void find_block(const table *t, const uint64_t *keys, uint32_t from, uint32_t to, entry **found) {
  for (uint32_t i = from; i < to; i++) {
    entry *e = found[i - from] = find(t, keys[i]);
    if (e->place == 0) continue;
    const float *row = row_of(t, e);
    for (uint32_t d = 0; d < t->dim; d += LINE_FLOATS) __builtin_prefetch(row + d);
  }
}

static inline uint32_t at_most(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Calls `work(table, entry, i)` for all keys in order, with their entries and rows on their way to the cache. */
#define FOR_ENTRIES(t, keys, n, work)                                                                                 \
  do {                                                                                                                \
    entry *found_[2][BLOCK];                                                                                          \
    prefetch_entries(t, keys, 0, at_most(n, 2 * BLOCK));                                                              \
    find_block(t, keys, 0, at_most(n, BLOCK), found_[0]);                                                             \
    for (uint32_t at_ = 0, b_ = 0; at_ < (n); at_ += BLOCK, b_ ^= 1) {                                                \
      const uint32_t end_ = at_most(n, at_ + BLOCK);                                                                  \
      if (end_ < (n)) {                                                                                               \
        prefetch_entries(t, keys, at_most(n, at_ + 2 * BLOCK), at_most(n, at_ + 3 * BLOCK));                          \
        find_block(t, keys, end_, at_most(n, end_ + BLOCK), found_[b_ ^ 1]);                                          \
      }                                                                                                               \
      for (uint32_t i_ = at_; i_ < end_; i_++) work(t, found_[b_][i_ - at_], i_);                                     \
    }                                                                                                                 \
  } while (0)

/* Copies the rows of keys to `out`, shape [n, dim]; a key that is not there reads as zeros. */
static inline void gather(const table *t, const uint64_t *keys, uint32_t n, float *out) {
  const size_t bytes = 4 * (size_t)t->dim;
#define COPY_ROW(table, e, i)                                                                                         \
  if ((e)->place == 0) memset(out + (size_t)(i) * (table)->dim, 0, bytes);                                            \
  else memcpy(out + (size_t)(i) * (table)->dim, row_of(table, e), bytes)
  FOR_ENTRIES(t, keys, n, COPY_ROW);
#undef COPY_ROW
}

/*
 * Row-wise Adagrad, operation by operation as in core/src/optimizer/rowwise-adagrad.ts: squares are summed in four
 * lanes, so that the bits are the same. dim is a multiple of 4.
 */
static inline void update_row(float *restrict row, float *accumulator, const float *restrict gradient, uint32_t dim,
                              float rate, float epsilon) {
  float lane[4] = {0, 0, 0, 0};
  for (uint32_t d = 0; d < dim; d += 4)
    for (uint32_t l = 0; l < 4; l++) lane[l] += gradient[d + l] * gradient[d + l];
  const float n = *accumulator + ((lane[0] + lane[1]) + (lane[2] + lane[3])) / (float)dim;
  *accumulator = n;
  const float c = -rate / (sqrtf(n) + epsilon);
  for (uint32_t d = 0; d < dim; d++) row[d] += c * gradient[d];
}

/* Returns how many of the keys are there. */
static inline uint32_t update(table *t, const uint64_t *keys, uint32_t n, const float *gradients, float rate,
                              float epsilon) {
  uint32_t written = 0;
#define UPDATE_ROW(table, e, i)                                                                                       \
  if ((e)->place != 0) {                                                                                              \
    update_row(row_of(table, e), &(e)->accumulator, gradients + (size_t)(i) * (table)->dim, (table)->dim, rate,       \
               epsilon);                                                                                              \
    written++;                                                                                                        \
  }
  FOR_ENTRIES(t, keys, n, UPDATE_ROW);
#undef UPDATE_ROW
  return written;
}

static inline uint32_t set(table *t, const uint64_t *keys, uint32_t n, const float *rows, float accumulator) {
  for (uint32_t i = 0; i < n; i++) {
    entry *e = find(t, keys[i]);
    if (e->place == 0) {
      if (t->used == t->capacity) fail("the table is full");
      e->key = keys[i];
      e->place = ++t->used;
    }
    e->accumulator = accumulator;
    memcpy(row_of(t, e), rows + (size_t)i * t->dim, 4 * (size_t)t->dim);
  }
  return n;
}

#endif
