/* CRC-32 (IEEE 802.3) of a buffer: a table look-up a byte, and a step a bit. */
#include "bench.h"

#define SIZE 65536

static uint8_t data[SIZE];
static uint32_t table[256];

static void prepare(void) {
  uint64_t random = 1;
  if (table[1]) {
    return;
  }
  for (int i = 0; i < SIZE; i++) {
    data[i] = (uint8_t)next_random(&random);
  }
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int bit = 0; bit < 8; bit++) {
      c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    }
    table[n] = c;
  }
}

uint64_t crc32_table(void) {
  uint32_t c = ~0u;
  prepare();
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < SIZE; i++) {
      c = table[(c ^ data[i]) & 0xff] ^ c >> 8;
    }
  }
  return ~c;
}

uint64_t crc32_bits(void) {
  uint32_t c = ~0u;
  prepare();
  for (int i = 0; i < SIZE; i++) {
    c ^= data[i];
    for (int bit = 0; bit < 8; bit++) {
      c = c >> 1 ^ (0xedb88320u & -(c & 1));
    }
  }
  return ~c;
}
