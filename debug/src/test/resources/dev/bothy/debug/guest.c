/* What a debugger looks at: two processors at work until "finish" is set. */

struct point {
  int x;
  int y;
};

volatile unsigned long rounds;
volatile unsigned long other_rounds;
volatile int finish;
volatile int watched;
volatile double ratio;

static void out8(unsigned short port, unsigned char value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

int scale(struct point p, int factor) {
  int sum = p.x + p.y;
  int result = sum * factor;
  return result;
}

void work(int i) {
  struct point p = {i & 15, 2};
  int scaled = scale(p, 3);
  if ((i & 15) == 9 || (i & 15) == 12) {
    watched = scaled;
  }
  ratio = scaled / 2.0;
  rounds++;
}

void other_work(void) { other_rounds++; }

void other_main(void) {
  for (;;) {
    other_work();
  }
}

static void start_others(void) {
  volatile unsigned *command = (volatile unsigned *)0xfee00300;
  *command = 0xc4500;
  *command = 0xc4608;
}

void main(void) {
  start_others();
  for (int i = 0; !finish; i++) {
    work(i);
    if (rounds == 20000) {
      out8(0x3f8, 'R');
    }
  }
  out8(0xf4, 5);
  for (;;) {
    __asm__ volatile("hlt");
  }
}
