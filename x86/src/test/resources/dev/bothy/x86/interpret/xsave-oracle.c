/* Executes FXSAVE, XSAVE and their kin on the host's processor. See XsaveOracleTest for the format of the records. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

struct record {
  uint8_t code[16];
  uint64_t rax;
  uint64_t offset;
  uint64_t signal;
  uint8_t padding[24];
  uint8_t state[512];
  uint8_t upper[256];
  uint8_t memory[1024];
};

static sigjmp_buf escape;

/* All sixteen, by number. */
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)
#define LOAD(n) __asm__ volatile("vinsertf128 $1, %0, %%ymm" #n ", %%ymm" #n : : "m"(r->upper[16 * n]));
#define STORE(n) __asm__ volatile("vextractf128 $1, %%ymm" #n ", %0" : "=m"(r->upper[16 * n]));

static void trapped(int signal) { siglongjmp(escape, signal); }

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = trapped;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  uint8_t *code = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  struct record *r = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (code == MAP_FAILED || r == MAP_FAILED) return 1;
  int avx = __builtin_cpu_supports("avx");
  while (fread(r, sizeof *r, 1, stdin) == 1) {
    int length = r->code[15];
    memcpy(code, r->code, length);
    code[length] = 0xc3;
    int signal = sigsetjmp(escape, 1);
    if (signal) {
      r->signal = signal;
    } else {
      uint32_t mxcsr = 0x1f80;
      if (avx) {
        EACH(LOAD)
      }
      __asm__ volatile("fninit\n\t"
                       "fxrstor64 (%[st])\n\t"
                       "call *%[code]\n\t"
                       "fxsave64 (%[st])\n\t"
                       "fninit\n\tldmxcsr %[mx]"
                       :
                       : [st] "r"(r->state), [code] "r"(code), "D"(r->memory + r->offset),
                         "a"(r->rax), "d"(0), [mx] "m"(mxcsr)
                       : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                         "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
      if (avx) {
        EACH(STORE)
        __asm__ volatile("vzeroupper");
      }
    }
    fwrite(r, sizeof *r, 1, stdout);
  }
  return 0;
}
