/*
 * Something for a compiler to do: a calculator with variables and functions (scanner, parser, code generator, stack
 * machine), a hash table, a sort, matrices and text. It prints a few lines that show that it was compiled correctly.
 */
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A hash table of names with open addressing. */

#define SLOTS 256

struct slot {
  char name[16];
  double value;
  bool used;
};

struct table {
  struct slot slots[SLOTS];
  int count;
};

static uint32_t hash(const char *text) {
  uint32_t h = 2166136261u;
  for (; *text != 0; text++) {
    h = (h ^ (uint8_t)*text) * 16777619u;
  }
  return h;
}

static struct slot *find(struct table *table, const char *name) {
  uint32_t at = hash(name) % SLOTS;
  while (table->slots[at].used && strcmp(table->slots[at].name, name) != 0) {
    at = (at + 1) % SLOTS;
  }
  struct slot *slot = &table->slots[at];
  if (!slot->used) {
    if (table->count == SLOTS - 1) {
      fputs("too many names\n", stderr);
      exit(1);
    }
    slot->used = true;
    slot->value = 0;
    strncpy(slot->name, name, sizeof slot->name - 1);
    table->count++;
  }
  return slot;
}

/* The stack machine. */

enum operation { PUSH, LOAD, STORE, ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, NEGATE, CALL, LESS, JUMP, JUMP_UNLESS, STOP };

enum function { SQRT, SIN, COS, EXP, LOG, FLOOR, FUNCTIONS };

static const char *const function_names[FUNCTIONS] = {"sqrt", "sin", "cos", "exp", "log", "floor"};

struct instruction {
  enum operation operation;
  union {
    double constant;
    struct slot *variable;
    enum function function;
    int target;
  } operand;
};

#define MOST_INSTRUCTIONS 1024

struct program {
  struct instruction code[MOST_INSTRUCTIONS];
  int length;
};

static struct instruction *emit(struct program *program, enum operation operation) {
  if (program->length == MOST_INSTRUCTIONS) {
    fputs("program too long\n", stderr);
    exit(1);
  }
  struct instruction *instruction = &program->code[program->length++];
  instruction->operation = operation;
  return instruction;
}

static double call(enum function function, double x) {
  switch (function) {
    case SQRT: return sqrt(x);
    case SIN: return sin(x);
    case COS: return cos(x);
    case EXP: return exp(x);
    case LOG: return log(x);
    case FLOOR: return floor(x);
    default: return NAN;
  }
}

static double execute(const struct program *program) {
  double stack[64] = {0};
  int top = 0;
  double last = 0;
  for (int at = 0;; at++) {
    const struct instruction *i = &program->code[at];
    if (top > 60) {
      return NAN;
    }
    switch (i->operation) {
      case PUSH: stack[top++] = i->operand.constant; break;
      case LOAD: stack[top++] = i->operand.variable->value; break;
      case STORE: last = i->operand.variable->value = stack[--top]; break;
      case ADD: top--; stack[top - 1] += stack[top]; break;
      case SUBTRACT: top--; stack[top - 1] -= stack[top]; break;
      case MULTIPLY: top--; stack[top - 1] *= stack[top]; break;
      case DIVIDE: top--; stack[top - 1] /= stack[top]; break;
      case POWER: top--; stack[top - 1] = pow(stack[top - 1], stack[top]); break;
      case NEGATE: stack[top - 1] = -stack[top - 1]; break;
      case CALL: stack[top - 1] = call(i->operand.function, stack[top - 1]); break;
      case LESS: top--; stack[top - 1] = stack[top - 1] < stack[top]; break;
      case JUMP: at = i->operand.target - 1; break;
      case JUMP_UNLESS:
        if (stack[--top] == 0) {
          at = i->operand.target - 1;
        }
        break;
      case STOP: return last;
    }
  }
}

/* Scanner and parser: statements "name = sum", "while sum < sum { statement... }". */

struct parser {
  const char *at;
  struct table *table;
  struct program *program;
  int errors;
};

static void parse_sum(struct parser *parser);

static void skip(struct parser *parser) {
  while (isspace((unsigned char)*parser->at) || *parser->at == ';') {
    parser->at++;
  }
}

static bool accept(struct parser *parser, char wanted) {
  skip(parser);
  if (*parser->at != wanted) {
    return false;
  }
  parser->at++;
  return true;
}

static void expect(struct parser *parser, char wanted) {
  if (!accept(parser, wanted)) {
    fprintf(stderr, "wanted %c before \"%.10s\"\n", wanted, parser->at);
    parser->errors++;
  }
}

static bool name(struct parser *parser, char *into, size_t size) {
  skip(parser);
  size_t length = 0;
  while (isalpha((unsigned char)*parser->at)) {
    if (length + 1 < size) {
      into[length++] = *parser->at;
    }
    parser->at++;
  }
  into[length] = 0;
  return length > 0;
}

static void parse_atom(struct parser *parser) {
  char text[16];
  skip(parser);
  if (accept(parser, '(')) {
    parse_sum(parser);
    expect(parser, ')');
  } else if (accept(parser, '-')) {
    parse_atom(parser);
    emit(parser->program, NEGATE);
  } else if (name(parser, text, sizeof text)) {
    for (int f = 0; f < FUNCTIONS; f++) {
      if (strcmp(function_names[f], text) == 0) {
        expect(parser, '(');
        parse_sum(parser);
        expect(parser, ')');
        emit(parser->program, CALL)->operand.function = (enum function)f;
        return;
      }
    }
    emit(parser->program, LOAD)->operand.variable = find(parser->table, text);
  } else {
    char *end;
    double value = strtod(parser->at, &end);
    if (end == parser->at) {
      parser->errors++;
      parser->at += *parser->at != 0;
    } else {
      parser->at = end;
    }
    emit(parser->program, PUSH)->operand.constant = value;
  }
}

static void parse_power(struct parser *parser) {
  parse_atom(parser);
  if (accept(parser, '^')) {
    parse_power(parser);
    emit(parser->program, POWER);
  }
}

static void parse_product(struct parser *parser) {
  parse_power(parser);
  for (;;) {
    if (accept(parser, '*')) {
      parse_power(parser);
      emit(parser->program, MULTIPLY);
    } else if (accept(parser, '/')) {
      parse_power(parser);
      emit(parser->program, DIVIDE);
    } else {
      return;
    }
  }
}

static void parse_sum(struct parser *parser) {
  parse_product(parser);
  for (;;) {
    if (accept(parser, '+')) {
      parse_product(parser);
      emit(parser->program, ADD);
    } else if (accept(parser, '-')) {
      parse_product(parser);
      emit(parser->program, SUBTRACT);
    } else {
      return;
    }
  }
}

static void parse_statement(struct parser *parser) {
  char text[16];
  if (!name(parser, text, sizeof text)) {
    parser->errors++;
    parser->at += *parser->at != 0;
  } else if (strcmp(text, "while") == 0) {
    int begin = parser->program->length;
    parse_sum(parser);
    expect(parser, '<');
    parse_sum(parser);
    emit(parser->program, LESS);
    struct instruction *out = emit(parser->program, JUMP_UNLESS);
    expect(parser, '{');
    while (skip(parser), *parser->at != 0 && *parser->at != '}') {
      parse_statement(parser);
    }
    expect(parser, '}');
    emit(parser->program, JUMP)->operand.target = begin;
    out->operand.target = parser->program->length;
  } else {
    expect(parser, '=');
    parse_sum(parser);
    emit(parser->program, STORE)->operand.variable = find(parser->table, text);
  }
}

static double calculate(const char *text, struct table *table) {
  static struct program program;
  struct parser parser = {text, table, &program, 0};
  program.length = 0;
  while (skip(&parser), *parser.at != 0) {
    parse_statement(&parser);
  }
  emit(&program, STOP);
  return parser.errors == 0 ? execute(&program) : NAN;
}

/* A quicksort of text by an insertion sort for short runs. */

static void sort(const char **items, int count) {
  if (count < 8) {
    for (int i = 1; i < count; i++) {
      const char *item = items[i];
      int j = i;
      for (; j > 0 && strcmp(items[j - 1], item) > 0; j--) {
        items[j] = items[j - 1];
      }
      items[j] = item;
    }
    return;
  }
  const char *pivot = items[count / 2];
  int low = 0;
  int high = count - 1;
  while (low <= high) {
    while (strcmp(items[low], pivot) < 0) {
      low++;
    }
    while (strcmp(items[high], pivot) > 0) {
      high--;
    }
    if (low <= high) {
      const char *swap = items[low];
      items[low++] = items[high];
      items[high--] = swap;
    }
  }
  sort(items, high + 1);
  sort(items + low, count - low);
}

/* Matrices, for the vectorizer. */

#define SIZE 32

static void multiply(const float a[SIZE][SIZE], const float b[SIZE][SIZE], float c[SIZE][SIZE]) {
  for (int i = 0; i < SIZE; i++) {
    for (int j = 0; j < SIZE; j++) {
      float sum = 0;
      for (int k = 0; k < SIZE; k++) {
        sum += a[i][k] * b[k][j];
      }
      c[i][j] = sum;
    }
  }
}

static double trace(int power) {
  static float a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];
  for (int i = 0; i < SIZE; i++) {
    for (int j = 0; j < SIZE; j++) {
      a[i][j] = (float)((i * 7 + j * 3) % 11) / 64;
      b[i][j] = i == j;
    }
  }
  for (int p = 0; p < power; p++) {
    multiply(a, b, c);
    memcpy(b, c, sizeof b);
  }
  double sum = 0;
  for (int i = 0; i < SIZE; i++) {
    sum += (double)b[i][i];
  }
  return sum;
}

int main(void) {
  static struct table table;
  printf("%.6f\n", calculate("x = 2; while x * x < 5000 { x = x + sqrt(x) / 3 }; y = x ^ 0.5 + sin(x)", &table));
  printf("%.6f\n", calculate("a = 0; i = 1; while i < 1000 { a = a + 1 / i ^ 2; i = i + 1 }; pi = sqrt(6 * a)", &table));
  printf("%.3f\n", trace(3));
  static char names[500][16];
  const char *items[500];
  for (int i = 0; i < 500; i++) {
    snprintf(names[i], sizeof names[i], "n%u", (unsigned)i * 2654435761u % 100000u);
    items[i] = names[i];
  }
  sort(items, 500);
  printf("%s %s %d\n", items[0], items[499], table.count);
  return 0;
}
