/* Runs single instructions on this processor: requests on standard input, answers on standard output, until end of file. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct state {
  uint32_t signal; /* answers only: 0 or the signal that the instruction raised */
  uint32_t mxcsr;
  uint64_t rax, rcx, rdx, flags;
  uint64_t xmm[3][2];
  uint8_t memory[64];
};

struct request {
  uint8_t code[16]; /* ends in RET; rdi is the address of byte `offset` of memory */
  uint64_t offset;
  struct state state;
};

static struct state *volatile current;
static sigjmp_buf back;

static void on_signal(int signal, siginfo_t *info, void *context) {
  ucontext_t *c = context;
  struct state *s = current;
  (void)info;
  s->signal = signal;
  s->rax = c->uc_mcontext.gregs[REG_RAX];
  s->rcx = c->uc_mcontext.gregs[REG_RCX];
  s->rdx = c->uc_mcontext.gregs[REG_RDX];
  s->flags = c->uc_mcontext.gregs[REG_EFL];
  s->mxcsr = c->uc_mcontext.fpregs->mxcsr;
  memcpy(s->xmm, c->uc_mcontext.fpregs->_xmm, sizeof s->xmm);
  siglongjmp(back, 1);
}

static void run(void *code, struct state *s, uint8_t *memory) {
  uint32_t own = 0x1f80;
  __asm__ volatile(
      "mov %[s], %%rbx\n\t"
      "movups 40(%%rbx), %%xmm0\n\t"
      "movups 56(%%rbx), %%xmm1\n\t"
      "movups 72(%%rbx), %%xmm2\n\t"
      "mov 8(%%rbx), %%rax\n\t"
      "mov 16(%%rbx), %%rcx\n\t"
      "mov 24(%%rbx), %%rdx\n\t"
      "push 32(%%rbx)\n\t"
      "ldmxcsr 4(%%rbx)\n\t"
      "popfq\n\t"
      "call *%[code]\n\t"
      "stmxcsr 4(%%rbx)\n\t"
      "pushfq\n\t"
      "pop 32(%%rbx)\n\t"
      "mov %%rax, 8(%%rbx)\n\t"
      "mov %%rcx, 16(%%rbx)\n\t"
      "mov %%rdx, 24(%%rbx)\n\t"
      "movups %%xmm0, 40(%%rbx)\n\t"
      "movups %%xmm1, 56(%%rbx)\n\t"
      "movups %%xmm2, 72(%%rbx)\n\t"
      "cld\n\t"
      :
      : [code] "r"(code), [s] "S"(s), "D"(memory)
      : "rbx", "rax", "rcx", "rdx", "r8", "xmm0", "xmm1", "xmm2", "cc", "memory");
  __asm__ volatile("ldmxcsr %0" : : "m"(own));
}

int main(void) {
  static struct request r;
  static uint8_t memory[64] __attribute__((aligned(64)));
  static char input[1 << 20], output[1 << 20];
  uint8_t *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action;
  setvbuf(stdin, input, _IOFBF, sizeof input);
  setvbuf(stdout, output, _IOFBF, sizeof output);
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  sigaction(SIGILL, &action, 0);
  if (code == MAP_FAILED) {
    return 1;
  }
  while (fread(&r, sizeof r, 1, stdin) == 1) {
    if (memcmp(code, r.code, sizeof r.code) != 0) {
      memcpy(code, r.code, sizeof r.code);
    }
    memcpy(memory, r.state.memory, sizeof memory);
    r.state.signal = 0;
    current = &r.state;
    if (sigsetjmp(back, 1) == 0) {
      run(code, &r.state, memory + r.offset);
    }
    memcpy(r.state.memory, memory, sizeof memory);
    fwrite(&r.state, sizeof r.state, 1, stdout);
  }
  return fflush(stdout) != 0;
}
