/*
 * What a parameter server could be at most on this machine: a C process, one thread, that answers pulls and applies
 * pushes with row-wise Adagrad over a bare TCP stream. It has the kernels and the bytes of a parameter server and
 * nothing else: no partitions, no growth, no identities of pushes, no checks of what comes.
 *
 *   floor-server ROWS DIM RATE EPSILON INITIAL_ACCUMULATOR
 *
 * prints its port, serves any number of clients, one request at a time, and ends when its stdin does.
 */
#include <poll.h>

#include "floor-table.h"
#include "stream.h"

/* Bytes of rows that are gathered and sent, or received and applied, at a time: they stay in the second-level cache. */
enum { CHUNK_BYTES = 256 * 1024, CLIENTS_MAX = 16 };

static table rows;
static float rate, epsilon, initial_accumulator;
static uint64_t *keys;
static uint32_t keys_room;
static float *chunk;

static int serve(int client) {
  request_head head;
  if (!receive_exactly(client, &head, sizeof head)) return 0;
  if (head.n > keys_room) {
    free(keys);
    keys = memory(8 * (size_t)head.n);
    keys_room = head.n;
  }
  receive_exactly(client, keys, 8 * (size_t)head.n);
  const uint32_t step = CHUNK_BYTES / (4 * rows.dim);
  uint32_t written = 0;
  for (uint32_t at = 0; at < head.n; at += step) {
    const uint32_t n = at_most(step, head.n - at);
    const size_t bytes = 4 * (size_t)n * rows.dim;
    if (head.operation == PULL) {
      gather(&rows, keys + at, n, chunk);
      send_exactly(client, chunk, bytes, at + n < head.n ? MSG_MORE : 0);
    } else {
      receive_exactly(client, chunk, bytes);
      written += head.operation == PUSH ? update(&rows, keys + at, n, chunk, rate, epsilon)
                                        : set(&rows, keys + at, n, chunk, initial_accumulator);
    }
  }
  if (head.operation != PULL) send_exactly(client, &written, sizeof written, 0);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: floor-server ROWS DIM RATE EPSILON INITIAL_ACCUMULATOR\n");
    return 2;
  }
  rows = new_table((uint32_t)atol(argv[1]), (uint32_t)atol(argv[2]));
  rate = strtof(argv[3], NULL);
  epsilon = strtof(argv[4], NULL);
  initial_accumulator = strtof(argv[5], NULL);
  if (rows.dim % 4 != 0 || rows.dim * 4 > CHUNK_BYTES) fail("DIM must be a multiple of 4 and not huge");
  chunk = memory(CHUNK_BYTES);

  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, CLIENTS_MAX) != 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%u\n", ntohs(address.sin_port));
  fflush(stdout);

  struct pollfd open[CLIENTS_MAX + 2] = {{STDIN_FILENO, POLLIN, 0}, {listener, POLLIN, 0}};
  for (nfds_t n = 2;;) {
    if (poll(open, n, -1) < 0) fail("poll");
    if (open[0].revents) return 0;
    if (open[1].revents && n < CLIENTS_MAX + 2) {
      const int client = accept(listener, NULL, NULL);
      send_at_once(client);
      open[n++] = (struct pollfd){client, POLLIN, 0};
      continue;
    }
    for (nfds_t i = 2; i < n; i++) {
      if (!open[i].revents || serve(open[i].fd)) continue;
      close(open[i].fd);
      open[i] = open[--n];
      break;
    }
  }
}
