/*
 * The workload of the parameter server bench, for its C programs: keys, rows, batches, and the loop that takes
 * commands. `../workload.ts` says the same in TypeScript, bit for bit, so that every program can be checked from outside.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A bijection of u32 that changes half of the bits when one changes (C. Wellons, "lowbias32"). */
static inline uint32_t mix(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

static inline uint32_t key_low(uint32_t index) { return mix(index); }

static inline uint64_t key_of(uint32_t index) {
  return (uint64_t)mix(index ^ 0x5bd1e995u) << 32 | key_low(index);
}

/* What round `round` writes for a key, in [-0.5, 0.5); round 0 is what a table is filled with. */
static inline void fill_row(float *row, uint32_t index, uint32_t round, uint32_t dim) {
  const uint32_t from = key_low(index) + round * 0x85ebca6bu;
  for (uint32_t d = 0; d < dim; d++) row[d] = (float)(mix(from + d * 0x9e3779b1u) >> 8) * 0x1p-24f - 0.5f;
}

/* A number that a changed bit, a row under another key, or a missing row changes, whatever the order of rows. */
static inline uint32_t row_sum(const float *row, uint32_t index, uint32_t dim) {
  const uint32_t low = key_low(index);
  uint32_t sum = 0;
  for (uint32_t d = 0; d < dim; d++) {
    uint32_t bits;
    memcpy(&bits, row + d, 4);
    sum += bits * ((low + d * 0x9e3779b1u) | 1u);
  }
  return sum;
}

typedef struct {
  uint32_t n;
  /* Which keys, ascending by key, shape [n]. */
  uint32_t *indexes;
  /* The same keys, shape [n]. */
  uint64_t *keys;
  /* Rows received, or to be sent, shape [n, dim]. */
  float *rows;
} batch;

typedef struct {
  uint32_t batches, dim;
  batch *of;
} workload;

static inline void fail(const char *what) {
  perror(what);
  exit(1);
}

static inline void *memory(size_t bytes) {
  void *found = NULL;
  if (posix_memalign(&found, 64, bytes) != 0) fail("out of memory");
  return found;
}

static inline void read_exactly(FILE *file, void *into, size_t bytes) {
  if (fread(into, 1, bytes, file) != bytes) fail("the file of batches is too short");
}

/* u32 batches, then for each u32 n and u32 indexes[n]. */
static inline workload read_workload(const char *path, uint32_t dim) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  workload w = {0, dim, NULL};
  read_exactly(file, &w.batches, 4);
  w.of = memory(w.batches * sizeof(batch));
  for (uint32_t b = 0; b < w.batches; b++) {
    batch *at = &w.of[b];
    read_exactly(file, &at->n, 4);
    at->indexes = memory(4 * (size_t)at->n);
    read_exactly(file, at->indexes, 4 * (size_t)at->n);
    at->keys = memory(8 * (size_t)at->n);
    for (uint32_t i = 0; i < at->n; i++) at->keys[i] = key_of(at->indexes[i]);
    at->rows = memory(4 * (size_t)at->n * dim);
    memset(at->rows, 0, 4 * (size_t)at->n * dim);
  }
  fclose(file);
  return w;
}

static inline double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Something done with the rows of some keys. */
typedef void with_rows(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim);

/* How rows move in one direction: `ask` sends a batch, `await` returns when it is answered, in the order of asking. */
typedef struct {
  with_rows *ask;
  with_rows *await;
} movement;

enum { FILL_ROWS = 4096 };

static inline void fill_table(movement set, uint32_t from, uint32_t to, uint32_t dim) {
  uint64_t *keys = memory(8 * FILL_ROWS);
  float *rows = memory(4 * (size_t)FILL_ROWS * dim);
  for (uint32_t at = from; at < to; at += FILL_ROWS) {
    const uint32_t n = to - at < FILL_ROWS ? to - at : FILL_ROWS;
    for (uint32_t i = 0; i < n; i++) {
      keys[i] = key_of(at + i);
      fill_row(rows + (size_t)i * dim, at + i, 0, dim);
    }
    set.ask(keys, rows, n, dim);
    set.await(keys, rows, n, dim);
  }
  free(keys);
  free(rows);
}

static inline uint32_t rows_of(const workload *w) {
  uint32_t rows = 0;
  for (uint32_t b = 0; b < w->batches; b++) rows += w->of[b].n;
  return rows;
}

static inline void with_batch(const batch *of, uint32_t dim, with_rows *what) { what(of->keys, of->rows, of->n, dim); }

/* The seconds that all batches take. The next one is asked for before the one under way is answered, as by a worker. */
static inline double timed(const workload *w, movement move) {
  const double start = now_seconds();
  with_batch(&w->of[0], w->dim, move.ask);
  for (uint32_t b = 0; b < w->batches; b++) {
    if (b + 1 < w->batches) with_batch(&w->of[b + 1], w->dim, move.ask);
    with_batch(&w->of[b], w->dim, move.await);
  }
  return now_seconds() - start;
}

static inline double timed_push(const workload *w, movement push, uint32_t round) {
  for (uint32_t b = 0; b < w->batches; b++)
    for (uint32_t i = 0; i < w->of[b].n; i++)
      fill_row(w->of[b].rows + (size_t)i * w->dim, w->of[b].indexes[i], round, w->dim);
  return timed(w, push);
}

static inline double timed_pull(const workload *w, movement pull) {
  for (uint32_t b = 0; b < w->batches; b++) memset(w->of[b].rows, 0, 4 * (size_t)w->of[b].n * w->dim);
  return timed(w, pull);
}

static inline void print_sums(const workload *w) {
  for (uint32_t b = 0; b < w->batches; b++) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < w->of[b].n; i++)
      sum += row_sum(w->of[b].rows + (size_t)i * w->dim, w->of[b].indexes[i], w->dim);
    printf("%s%u", b == 0 ? "" : ",", sum);
  }
}

/*
 * Answers the commands of `../client-process.ts`, one line each, with a line of JSON each. Only what moves rows is
 * timed: making gradients and summing what came is not.
 */
static inline int serve_commands(workload w, movement set, movement pull, movement push) {
  char line[256];
  printf("{\"ready\":true}\n");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    uint32_t a = 0, b = 0;
    if (sscanf(line, "fill %u %u", &a, &b) == 2) {
      const double start = now_seconds();
      fill_table(set, a, b, w.dim);
      printf("{\"seconds\":%.9f,\"rows\":%u}\n", now_seconds() - start, b - a);
    } else if (sscanf(line, "push %u", &a) == 1) {
      printf("{\"seconds\":%.9f,\"rows\":%u}\n", timed_push(&w, push, a), rows_of(&w));
    } else if (strncmp(line, "pull", 4) == 0) {
      printf("{\"seconds\":%.9f,\"rows\":%u,\"sums\":[", timed_pull(&w, pull), rows_of(&w));
      print_sums(&w);
      printf("]}\n");
    } else {
      fprintf(stderr, "unknown command: %s", line);
      return 1;
    }
    fflush(stdout);
  }
  return 0;
}

#endif
