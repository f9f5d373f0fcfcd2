/* Executes x87 and MMX instructions on the host's processor. See X87Oracle for the format of the records. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct record {
  uint8_t code[16];
  uint8_t state[112];
  uint8_t memory[128];
  uint64_t rax;
  uint64_t rflags;
  uint64_t signal;
  uint64_t address;
};

static sigjmp_buf escape;

static void trapped(int signal, siginfo_t *info, void *context) { siglongjmp(escape, signal); }

int main(void) {
  static char in[1 << 20], out[1 << 20];
  setvbuf(stdin, in, _IOFBF, sizeof in);
  setvbuf(stdout, out, _IOFBF, sizeof out);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = trapped;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  uint8_t *code = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  struct record *r = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  uint8_t *initial = (uint8_t *)r + 1024;
  if (code == MAP_FAILED || r == MAP_FAILED) return 1;
  while (fread(r, sizeof *r, 1, stdin) == 1) {
    int length = r->code[15];
    /* frstor, popfq, the instruction with memory at [rdi] and the caller's rax, pushfq, ret */
    memcpy(code, r->code, length);
    code[length] = 0xc3;
    memcpy(initial, r->state, sizeof r->state);
    r->signal = 0;
    int signal = sigsetjmp(escape, 1);
    if (signal) {
      r->signal = signal;
    } else {
      uint64_t rax = r->rax, rflags = r->rflags & 0x8d5 | 2;
      __asm__ volatile("frstor (%[st])\n\t"
                       "push %[fl]\n\tpopfq\n\t"
                       "call *%[code]\n\t"
                       "pushfq\n\tpop %[fl]\n\t"
                       "fnsave (%[st])\n\tcld"
                       : [fl] "+r"(rflags), "+a"(rax)
                       : [st] "r"(r->state), [code] "r"(code), "D"(r->memory)
                       : "memory", "cc");
      r->rax = rax;
      r->rflags = rflags & 0x8d5;
    }
    fwrite(r, sizeof *r, 1, stdout);
  }
  return 0;
}
