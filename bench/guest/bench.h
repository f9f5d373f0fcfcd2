/* Programs that are measured: each does a fixed amount of work and returns a number that depends on all of it. */
#include <stdint.h>

uint64_t sieve(void);
uint64_t crc32_table(void);
uint64_t crc32_bits(void);
uint64_t hash_table(void);
uint64_t quicksort(void);
uint64_t sha256(void);
uint64_t bytecode(void);
uint64_t matrix(void);
uint64_t nbody(void);

/* The next of a sequence of numbers without a visible pattern (xorshift). */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}
