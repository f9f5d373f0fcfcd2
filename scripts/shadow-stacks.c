// What a program may do with shadow stacks that Linux (6.6 or newer) gives it, as the only program of a guest:
// scripts/shadow-stacks builds and runs it. Each check is a line, "ok" or "WRONG"; the last line says how many were wrong.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

// asm/prctl.h, asm/mman.h and asm-generic/siginfo.h of Linux 6.6; older headers lack them.
#define ARCH_SHSTK_ENABLE 0x5001
#define ARCH_SHSTK_STATUS 0x5005
#define ARCH_SHSTK_SHSTK 1
#define ARCH_SHSTK_WRSS 2
#define MAP_SHADOW_STACK 453
#define SHADOW_STACK_SET_TOKEN 1
#define CONTROL_PROTECTION 10

#define SIGNALS 50
#define THREADS 4

static int wrong;
static volatile int handled;

static void check(const char *what, long got, long wanted) {
  printf("%s %s: %ld", got == wanted ? "ok   " : "WRONG", what, got);
  printf(got == wanted ? "\n" : ", not %ld\n", wanted);
  wrong += got != wanted;
}

/* Not by the C library, which returns from its own function: on a stack that was not there when it was called. */
static inline long shadow_stacks(long request, unsigned long argument) {
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"((long)SYS_arch_prctl), "D"(request), "S"(argument)
                   : "rcx", "r11", "memory");
  return result;
}

static inline unsigned long pointer(void) {
  unsigned long p = 0;
  __asm__ volatile("rdsspq %0" : "+r"(p));
  return p;
}

static inline void store(void *to, unsigned long value) {
  __asm__ volatile("wrssq %0, (%1)" : : "r"(value), "r"(to) : "memory");
}

static inline void change(unsigned long token) {
  __asm__ volatile("rstorssp (%0)\n saveprevssp" : : "r"(token) : "memory");
}

__attribute__((noinline)) static long fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static void count(int signal, siginfo_t *info, void *context) { handled += fibonacci(12) == 144; }

static void tell(int signal, siginfo_t *info, void *context) { _exit(100 + info->si_code); }

static void *work(void *nothing) {
  long sum = 0;
  for (int i = 0; i < 200; i++) {
    sum += fibonacci(15);
    sched_yield();
  }
  return (void *)(sum + (pointer() != 0));
}

__attribute__((noinline)) static void elsewhere(void) { _exit(1); }

__attribute__((noinline)) static void return_elsewhere(void) {
  void *volatile *frame = __builtin_frame_address(0);
  frame[1] = (void *)elsewhere;
}

/* The status of a child, or more than 1000 for one that a signal has ended. */
static int ended(pid_t child) {
  int status;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(signal, &action, 0);
}

static void faults(void) {
  static unsigned long plain;
  pid_t child;
  handle(SIGSEGV, tell);
  if ((child = fork()) == 0) {
    return_elsewhere();
    _exit(2);
  }
  check("a return that the shadow stack does not know", ended(child), 100 + CONTROL_PROTECTION);
  if ((child = fork()) == 0) {
    *(volatile unsigned long *)(pointer() - 8) = 1;
    _exit(2);
  }
  check("an ordinary store to it", ended(child), 100 + SEGV_ACCERR);
  if ((child = fork()) == 0) {
    unsigned long there = *(volatile unsigned long *)(pointer() - 8);
    _exit(there != 0 ? 7 : 2);
  }
  check("an ordinary load from it", ended(child), 7);
  if ((child = fork()) == 0) {
    store(&plain, 1);
    _exit(2);
  }
  check("WRSS to ordinary memory", ended(child), 100 + SEGV_ACCERR);
}

static void threads(void) {
  pthread_t thread[THREADS];
  long sum = 0;
  for (int i = 0; i < THREADS; i++) {
    pthread_create(&thread[i], 0, work, 0);
  }
  for (int i = 0; i < THREADS; i++) {
    void *result;
    pthread_join(thread[i], &result);
    sum += (long)result;
  }
  check("threads with their own", sum, THREADS * (200 * 610 + 1));
}

static void signals(void) {
  unsigned long before = pointer();
  handle(SIGUSR1, count);
  for (int i = 0; i < SIGNALS; i++) {
    raise(SIGUSR1);
  }
  check("signals", handled, SIGNALS);
  check("the pointer is the same afterwards", pointer() == before, 1);
  handle(SIGALRM, count);
  handled = 0;
  struct itimerval often = {{0, 2000}, {0, 2000}};
  struct itimerval never = {0};
  setitimer(ITIMER_REAL, &often, 0);
  long sum = 0;
  while (handled < SIGNALS) {
    sum += fibonacci(16) - 987;
  }
  setitimer(ITIMER_REAL, &never, 0);
  check("signals of a timer, while it computes", sum, 0);
}

static void another(void) {
  unsigned long old = pointer();
  long at = syscall(MAP_SHADOW_STACK, 0L, 0x4000L, (long)SHADOW_STACK_SET_TOKEN);
  change(at + 0x4000 - 8);
  check("on another one", pointer() - at, 0x4000);
  check("calls there", fibonacci(10), 55);
  change(old - 8);
  check("and back", pointer() == old, 1);
  check("WRSS allowed", shadow_stacks(ARCH_SHSTK_ENABLE, ARCH_SHSTK_WRSS), 0);
  store((void *)at, 0x1122334455667788);
  check("WRSS", *(volatile unsigned long *)at == 0x1122334455667788, 1);
}

int main(void) {
  unsigned long status = 0;
  setvbuf(stdout, 0, _IONBF, 0);
  check("none before", pointer(), 0);
  long enabled = shadow_stacks(ARCH_SHSTK_ENABLE, ARCH_SHSTK_SHSTK);
  check("enabled", enabled, 0);
  if (enabled == 0) {
    check("one now", pointer() != 0, 1);
    shadow_stacks(ARCH_SHSTK_STATUS, (unsigned long)&status);
    check("says Linux", status, ARCH_SHSTK_SHSTK);
    check("calls", fibonacci(22), 17711);
    signals();
    threads();
    another();
    faults();
  }
  printf("shadow stacks: %d wrong\n", wrong);
  reboot(RB_POWER_OFF);
  return wrong; // Never: main's own return is not on the shadow stack.
}
