/* An interpreter of a small stack machine that runs the Collatz sequence of the numbers below 3,000: indirect jumps. */
#include "bench.h"

enum { PUSH, DUP, DROP, GET, SET, ADD, MUL, SHR, AND, LESS, JUMP, JUMP_IF, STOP };

#define LIMIT 3000

/* Variables: 0 n, 1 start, 2 steps. */
static const int16_t program[] = {
    PUSH, 1, SET, 1,               /* 0: start = 1 */
    GET, 1, SET, 0,                /* 4: n = start */
    GET, 0, PUSH, 2, LESS,         /* 8: while n >= 2 */
    JUMP_IF, 44,                   /* 13 */
    GET, 2, PUSH, 1, ADD, SET, 2,  /* 15: steps++ */
    GET, 0, PUSH, 1, AND,          /* 22: odd? */
    JUMP_IF, 36,                   /* 27 */
    GET, 0, SHR, SET, 0,           /* 29: n /= 2 */
    JUMP, 8,                       /* 34 */
    GET, 0, PUSH, 3, MUL,          /* 36 */
    JUMP, 53,                      /* 41 */
    STOP,                          /* 43 */
    GET, 1, PUSH, 1, ADD, SET, 1,  /* 44: start++ */
    JUMP, 60,                      /* 51 */
    PUSH, 1, ADD, SET, 0,          /* 53: n = 3 * n + 1 */
    JUMP, 8,                       /* 58 */
    GET, 1, PUSH, LIMIT, LESS,     /* 60: while start < LIMIT */
    JUMP_IF, 4,                    /* 65 */
    STOP,                          /* 67 */
};

uint64_t bytecode(void) {
  uint64_t stack[16];
  uint64_t variables[3] = {0};
  uint64_t *top = stack;
  const int16_t *at = program;
  for (;;) {
    switch (*at++) {
      case PUSH: *top++ = (uint64_t)*at++; break;
      case DUP: top[0] = top[-1]; top++; break;
      case DROP: top--; break;
      case GET: *top++ = variables[*at++]; break;
      case SET: variables[*at++] = *--top; break;
      case ADD: top--; top[-1] += top[0]; break;
      case MUL: top--; top[-1] *= top[0]; break;
      case SHR: top[-1] >>= 1; break;
      case AND: top--; top[-1] &= top[0]; break;
      case LESS: top--; top[-1] = top[-1] < top[0]; break;
      case JUMP: at = program + *at; break;
      case JUMP_IF: at = *--top ? program + *at : at + 1; break;
      default: return variables[2];
    }
  }
}
