/*
 * The client of Redis: a key is 8 bytes, a row its floats. A pull is a pipeline of MGETs of 1000 keys, a push a
 * pipeline of SETs: Redis has no optimizer, so it stores what is pushed, which is less than a parameter server does.
 *
 *   redis-client PORT BATCHES DIM
 */
#include <hiredis/hiredis.h>

#include "workload.h"

enum { MGET_KEYS = 1000 };

static redisContext *redis;

static redisReply *next_reply(int type) {
  void *reply = NULL;
  if (redisGetReply(redis, &reply) != REDIS_OK) {
    fprintf(stderr, "Redis: %s\n", redis->errstr);
    exit(1);
  }
  redisReply *found = reply;
  if (found->type != type) {
    fprintf(stderr, "Redis answered with type %d: %s\n", found->type, found->str ? found->str : "");
    exit(1);
  }
  return found;
}

static void ask_pull(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  (void)rows;
  (void)dim;
  const char *words[MGET_KEYS + 1] = {"MGET"};
  size_t lengths[MGET_KEYS + 1] = {4};
  for (uint32_t at = 0; at < n; at += MGET_KEYS) {
    const uint32_t count = n - at < MGET_KEYS ? n - at : MGET_KEYS;
    for (uint32_t i = 0; i < count; i++) {
      words[1 + i] = (const char *)&keys[at + i];
      lengths[1 + i] = 8;
    }
    redisAppendCommandArgv(redis, (int)count + 1, words, lengths);
  }
}

static void await_pull(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  (void)keys;
  const size_t bytes = 4 * (size_t)dim;
  for (uint32_t at = 0; at < n; at += MGET_KEYS) {
    redisReply *reply = next_reply(REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < reply->elements; i++) {
      const redisReply *row = reply->element[i];
      float *to = rows + ((size_t)at + i) * dim;
      if (row->type == REDIS_REPLY_STRING && row->len == bytes) memcpy(to, row->str, bytes);
      else memset(to, 0, bytes);
    }
    freeReplyObject(reply);
  }
}

static void ask_set(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  for (uint32_t i = 0; i < n; i++) {
    const char *words[3] = {"SET", (const char *)&keys[i], (const char *)(rows + (size_t)i * dim)};
    const size_t lengths[3] = {3, 8, 4 * (size_t)dim};
    redisAppendCommandArgv(redis, 3, words, lengths);
  }
}

static void await_set(const uint64_t *keys, float *rows, uint32_t n, uint32_t dim) {
  (void)keys;
  (void)rows;
  (void)dim;
  for (uint32_t i = 0; i < n; i++) freeReplyObject(next_reply(REDIS_REPLY_STATUS));
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: redis-client PORT BATCHES DIM\n");
    return 2;
  }
  redis = redisConnect("127.0.0.1", atoi(argv[1]));
  if (redis == NULL || redis->err) fail("cannot connect to Redis");
  const movement set = {ask_set, await_set}, pull = {ask_pull, await_pull};
  return serve_commands(read_workload(argv[2], (uint32_t)atol(argv[3])), set, pull, set);
}
