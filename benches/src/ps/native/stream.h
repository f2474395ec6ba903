/* A TCP stream of requests and replies, between the C client and the C server. All numbers are little-endian. */
#ifndef STREAM_H
#define STREAM_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "workload.h"

enum { PULL = 1, PUSH = 2, SET = 3 };

/*
 * A request is this head, then u64 keys[n], then for PUSH and SET f32 rows[n][dim]. PULL is answered with
 * f32 rows[n][dim], the others with the u32 number of rows that were written.
 */
typedef struct {
  uint32_t operation, n;
} request_head;

static inline void send_exactly(int to, const void *bytes, size_t n, int flags) {
  for (const char *at = bytes; n > 0;) {
    const ssize_t sent = send(to, at, n, flags);
    if (sent <= 0) fail("send");
    at += sent;
    n -= (size_t)sent;
  }
}

/* Returns 0 when the other end has closed before the first byte, else 1. */
static inline int receive_exactly(int from, void *into, size_t n) {
  char *at = into;
  for (size_t left = n; left > 0;) {
    const ssize_t got = recv(from, at, left, MSG_WAITALL);
    if (got < 0) fail("recv");
    if (got == 0 && left == n) return 0;
    if (got == 0) fail("the other end closed in the middle of a message");
    at += got;
    left -= (size_t)got;
  }
  return 1;
}

static inline void send_at_once(int on) {
  const int yes = 1;
  setsockopt(on, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static inline struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

#endif
