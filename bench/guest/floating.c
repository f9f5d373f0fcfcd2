/* Double-precision arithmetic: the product of two 96 x 96 matrices, and 2,000 steps of five bodies under gravitation. */
#include <math.h>
#include <string.h>

#include "bench.h"

#define ORDER 96
#define BODIES 5
#define STEPS 2000

static double a[ORDER][ORDER], b[ORDER][ORDER], c[ORDER][ORDER];

static uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

uint64_t matrix(void) {
  double trace = 0;
  for (int i = 0; i < ORDER; i++) {
    for (int j = 0; j < ORDER; j++) {
      a[i][j] = i + j / 3.0;
      b[i][j] = i * 0.5 - j;
    }
  }
  for (int i = 0; i < ORDER; i++) {
    for (int j = 0; j < ORDER; j++) {
      double sum = 0;
      for (int n = 0; n < ORDER; n++) {
        sum += a[i][n] * b[n][j];
      }
      c[i][j] = sum;
    }
  }
  for (int i = 0; i < ORDER; i++) {
    trace += c[i][i];
  }
  return bits_of(trace);
}

struct body {
  double at[3], speed[3], mass;
};

uint64_t nbody(void) {
  struct body bodies[BODIES];
  double energy = 0;
  for (int i = 0; i < BODIES; i++) {
    for (int n = 0; n < 3; n++) {
      bodies[i].at[n] = (i + 1) * (n - 1.1) + i * i * 0.7;
      bodies[i].speed[n] = (n + i) % 3 * 0.3 - 0.2;
    }
    bodies[i].mass = 1.0 / (i + 1);
  }
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < BODIES; i++) {
      for (int j = i + 1; j < BODIES; j++) {
        double way[3];
        double square = 1e-3;
        for (int n = 0; n < 3; n++) {
          way[n] = bodies[i].at[n] - bodies[j].at[n];
          square += way[n] * way[n];
        }
        double pull = 0.001 / (square * sqrt(square));
        for (int n = 0; n < 3; n++) {
          bodies[i].speed[n] -= way[n] * bodies[j].mass * pull;
          bodies[j].speed[n] += way[n] * bodies[i].mass * pull;
        }
      }
    }
    for (int i = 0; i < BODIES; i++) {
      for (int n = 0; n < 3; n++) {
        bodies[i].at[n] += 0.001 * bodies[i].speed[n];
      }
    }
  }
  for (int i = 0; i < BODIES; i++) {
    for (int n = 0; n < 3; n++) {
      energy += bodies[i].mass * bodies[i].speed[n] * bodies[i].speed[n] / 2;
    }
  }
  return bits_of(energy);
}
