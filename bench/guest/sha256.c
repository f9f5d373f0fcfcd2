/* SHA-256's compression function (FIPS 180-4, section 6.2.2) over 2,000 blocks, each made from the last digest. */
#include "bench.h"

#define BLOCKS 2000

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes, computed instead of listed. */
static uint32_t k[64];

static uint32_t cube_root_fraction(uint32_t prime) {
  /* floor(cbrt(prime) * 2^32) by bisection, in 128-bit arithmetic of cubes of 35-bit numbers. */
  uint64_t low = 0;
  uint64_t high = (uint64_t)8 << 32;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    unsigned __int128 square = (unsigned __int128)middle * middle;
    /* Compare middle^3 with prime * 2^96 without overflow: square / 2^40 loses less than the last bit of the root. */
    if ((square >> 6) * middle < (unsigned __int128)prime << 90) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return (uint32_t)low;
}

static void prepare(void) {
  int found = 0;
  for (uint32_t n = 2; found < 64; n++) {
    uint32_t d = 2;
    while (d * d <= n && n % d != 0) {
      d++;
    }
    if (d * d > n) {
      k[found++] = cube_root_fraction(n);
    }
  }
}

static inline uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void compress(uint32_t state[8], const uint32_t block[16]) {
  uint32_t w[64];
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (int t = 0; t < 16; t++) {
    w[t] = block[t];
  }
  for (int t = 16; t < 64; t++) {
    uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  for (int t = 0; t < 64; t++) {
    uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + k[t] + w[t];
    uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

uint64_t sha256(void) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  if (!k[0]) {
    prepare();
  }
  for (uint32_t n = 0; n < BLOCKS; n++) {
    uint32_t block[16];
    for (int t = 0; t < 16; t++) {
      block[t] = state[t & 7] + n;
    }
    compress(state, block);
  }
  return (uint64_t)state[0] << 32 | state[7];
}
