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

static void pull(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  ask(PULL, keys, n);
  if (!receive_exactly(server, rows, 4 * (size_t)n * dim)) fail("the server closed");
}

static void write_rows(uint32_t operation, const uint64_t *keys, const float *rows, uint32_t n, uint32_t dim) {
  uint32_t written = 0;
  ask(operation, keys, n);
  send_exactly(server, rows, 4 * (size_t)n * dim, 0);
  if (!receive_exactly(server, &written, sizeof written)) fail("the server closed");
  if (written != n) {
    fprintf(stderr, "%u of %u rows were written\n", written, n);
    exit(1);
  }
}

static void push(const uint64_t *keys, const float *rows, uint32_t n, uint32_t dim) {
  write_rows(PUSH, keys, rows, n, dim);
}

static void set(const uint64_t *keys, const float *rows, uint32_t n, uint32_t dim) {
  write_rows(SET, keys, rows, n, dim);
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
  return serve_commands(read_workload(argv[2], (uint32_t)atol(argv[3])), set, pull, push);
}
