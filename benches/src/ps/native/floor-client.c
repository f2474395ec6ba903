/*
 * The client of floor-server: sends a batch's keys, receives its rows; sends keys and gradients, waits for the count.
 *
 *   floor-client PORT BATCHES DIM
 */
#include "stream.h"

static int server;

static void ask(uint32_t operation, const uint64_t *keys, uint32_t n) {
  const request_head head = {operation, n};
  send_exactly(server, &head, sizeof head, MSG_MORE);
  send_exactly(server, keys, 8 * (size_t)n, 0);
}

static void ask_pull(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  (void)rows;
  (void)dim;
  ask(PULL, keys, n);
}

static void await_pull(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  (void)keys;
  if (!receive_exactly(server, rows, 4 * (size_t)n * dim)) fail("the server closed");
}

static void ask_push(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  ask(PUSH, keys, n);
  send_exactly(server, rows, 4 * (size_t)n * dim, 0);
}

static void ask_set(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  ask(SET, keys, n);
  send_exactly(server, rows, 4 * (size_t)n * dim, 0);
}

static void await_write(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  uint32_t written = 0;
  (void)keys;
  (void)rows;
  (void)dim;
  if (!receive_exactly(server, &written, sizeof written)) fail("the server closed");
  if (written != n) {
    fprintf(stderr, "%u of %u rows were written\n", written, n);
    exit(1);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: floor-client PORT BATCHES DIM\n");
    return 2;
  }
  server = socket(AF_INET, SOCK_STREAM, 0);
  const struct sockaddr_in address = loopback((uint16_t)atoi(argv[1]));
  if (connect(server, (const struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  send_at_once(server);
  const movement set = {ask_set, await_write}, pull = {ask_pull, await_pull}, push = {ask_push, await_write};
  return serve_commands(read_workload(argv[2], (uint32_t)atol(argv[3])), set, pull, push);
}
