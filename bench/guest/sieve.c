/* Counts the primes below a quarter million, a byte a number. */
#include <string.h>

#include "bench.h"

#define LIMIT 250000

static uint8_t composite[LIMIT];

uint64_t sieve(void) {
  uint64_t primes = 0;
  memset(composite, 0, sizeof composite);
  for (uint32_t n = 2; n < LIMIT; n++) {
    if (composite[n]) {
      continue;
    }
    primes++;
    for (uint64_t m = (uint64_t)n * n; m < LIMIT; m += n) {
      composite[m] = 1;
    }
  }
  return primes;
}
