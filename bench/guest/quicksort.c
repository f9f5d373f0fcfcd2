/* Sorts 20,000 numbers. */
#include "bench.h"

#define COUNT 20000

static int64_t numbers[COUNT];

static void sort(int64_t *low, int64_t *high) {
  while (low < high) {
    int64_t pivot = low[(high - low) / 2];
    int64_t *i = low;
    int64_t *j = high;
    while (i <= j) {
      while (*i < pivot) {
        i++;
      }
      while (*j > pivot) {
        j--;
      }
      if (i <= j) {
        int64_t swap = *i;
        *i++ = *j;
        *j-- = swap;
      }
    }
    sort(low, j);
    low = i;
  }
}

uint64_t quicksort(void) {
  uint64_t random = 7;
  uint64_t sum = 0;
  for (int i = 0; i < COUNT; i++) {
    numbers[i] = (int64_t)next_random(&random);
  }
  sort(numbers, numbers + COUNT - 1);
  for (int i = 0; i < COUNT; i++) {
    sum = sum * 31 + (uint64_t)numbers[i];
  }
  return sum;
}
