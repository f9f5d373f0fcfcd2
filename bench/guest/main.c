/*
 * Runs the programs: as process 1 of a guest with its arguments from the kernel's command line behind "--", then powers off; else as a
 * plain program. For each program: repeats it for the warm-up time, then prints "NAME begin", repeats it for the measured
 * time, and prints "NAME end REPEATS RESULT". Whoever reads the lines takes the time.
 *
 * Usage: programs WARM-UP-SECONDS MEASURED-SECONDS [NAME]...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct program {
  const char *name;
  uint64_t (*run)(void);
} programs[] = {
    {"sieve", sieve},       {"crc32-table", crc32_table}, {"crc32-bits", crc32_bits},
    {"hash-table", hash_table}, {"quicksort", quicksort}, {"sha256", sha256},
    {"bytecode", bytecode}, {"matrix", matrix},           {"n-body", nbody},
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const struct program *program, double warm_up, double measured) {
  uint64_t result = 0;
  long repeats = 0;
  double end = now() + warm_up;
  do {
    result = program->run();
  } while (now() < end);
  printf("%s begin\n", program->name);
  fflush(stdout);
  end = now() + measured;
  do {
    uint64_t again = program->run();
    if (again != result) {
      printf("%s went wrong: %llx, then %llx\n", program->name, (unsigned long long)result, (unsigned long long)again);
      return;
    }
    repeats++;
  } while (now() < end);
  printf("%s end %ld %llx\n", program->name, repeats, (unsigned long long)result);
  fflush(stdout);
}

static int wanted(const char *name, int argc, char **argv) {
  if (argc <= 3) {
    return 1;
  }
  for (int i = 3; i < argc; i++) {
    if (strcmp(argv[i], name) == 0) {
      return 1;
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  double warm_up = argc > 1 ? atof(argv[1]) : 1;
  double measured = argc > 2 ? atof(argv[2]) : 1;
  for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
    if (wanted(programs[i].name, argc, argv)) {
      measure(&programs[i], warm_up, measured);
    }
  }
  if (getpid() == 1) {
    reboot(RB_POWER_OFF);
  }
  return 0;
}
