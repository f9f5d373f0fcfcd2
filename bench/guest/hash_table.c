/* Inserts into and looks up in a chained hash table whose nodes lie scattered over 8 MiB: every step follows a pointer. */
#include <stddef.h>

#include "bench.h"

#define NODES (1 << 18)
#define BUCKETS (1 << 16)
#define KEYS (NODES / 2)
#define LOOKUPS 60000

struct node {
  struct node *next;
  uint64_t key;
  uint64_t value;
  uint64_t pad;
};

static struct node nodes[NODES];
static struct node *buckets[BUCKETS];

static uint32_t bucket_of(uint64_t key) { return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 48) % BUCKETS; }

static void fill(void) {
  for (uint64_t n = 0; n < KEYS; n++) {
    /* An odd factor visits every node once, far from the one before. */
    struct node *node = &nodes[(n * 0x9e35u) % NODES];
    uint32_t bucket = bucket_of(n * 3);
    node->key = n * 3;
    node->value = n;
    node->next = buckets[bucket];
    buckets[bucket] = node;
  }
}

uint64_t hash_table(void) {
  uint64_t sum = 0;
  uint64_t random = 88172645463325252u;
  if (buckets[0] == NULL) {
    fill();
  }
  for (int i = 0; i < LOOKUPS; i++) {
    uint64_t key = next_random(&random) % (KEYS * 4);
    for (struct node *node = buckets[bucket_of(key)]; node != NULL; node = node->next) {
      if (node->key == key) {
        sum += node->value;
        break;
      }
    }
  }
  return sum;
}
