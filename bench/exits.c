/*
 * Exits of a guest on /dev/kvm by the plainest loop there is, for bench/exits: "exits port N" and "exits memory N" print
 * nanoseconds for each of N exits, "exits doorbell N" those of a write that the kernel counts (ioeventfd), "exits answer N" those
 * until a thread has answered it, "exits compute N" those of a turn of a loop that runs natively.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned char *ram;
static int bell;

static void need(int well, const char *what) {
  if (!well) {
    perror(what);
    exit(1);
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static struct kvm_segment segment(int selector, int type) {
  struct kvm_segment s = {0, 0xffffffff, selector, type, 1, 0, 1, 1, 0, 1, 0, 0, 0};
  return s;
}

static double compute(long turns) {
  double start = now();
  unsigned long a = 1;
  __asm__ volatile(
      "1: imul $3, %0, %0\n inc %0\n rol $7, %0\n xor %1, %0\n dec %1\n jnz 1b"
      : "+r"(a), "+r"(turns)
      :
      : "cc");
  return now() - start;
}

/* The guest waits for its counter at 34000h. */
static void *answer(void *count) {
  unsigned left = *(long *) count;
  unsigned long times;
  while (left > 0 && read(bell, &times, 8) == 8) {
    *(volatile unsigned *) (ram + 0x34000) = left--;
  }
  return 0;
}

int main(int argc, char **argv) {
  need(argc == 3, "usage");
  long count = atol(argv[2]);
  if (strcmp(argv[1], "compute") == 0) {
    printf("%.3f\n", compute(count) / count);
    return 0;
  }
  int kvm = open("/dev/kvm", O_RDWR);
  need(kvm >= 0, "/dev/kvm");
  int vm = ioctl(kvm, KVM_CREATE_VM, 0);
  need(vm >= 0, "KVM_CREATE_VM");
  ram = mmap(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  need(ram != MAP_FAILED, "mmap");
  need(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) == 0, "KVM_SET_TSS_ADDR");
  struct kvm_userspace_memory_region slot = {0, 0, 0, 2 << 20, (unsigned long) ram};
  need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0, "KVM_SET_USER_MEMORY_REGION");
  int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  need(cpu >= 0, "KVM_CREATE_VCPU");
  struct kvm_run *run =
      mmap(0, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
  need(run != MAP_FAILED, "mmap of the vCPU");
  /* out 99h, al or mov [D0000000h], al; dec ecx; jnz back; hlt */
  static const unsigned char port[] = {0xe6, 0x99, 0x49, 0x75, 0xfb, 0xf4};
  static const unsigned char memory[] = {0xa2, 0, 0, 0, 0xd0, 0x49, 0x75, 0xf8, 0xf4};
  /* mov [D1000000h], ax; dec ecx; jnz back; hlt */
  static const unsigned char doorbell[] = {0x66, 0xa3, 0, 0, 0, 0xd1, 0x49, 0x75, 0xf7, 0xf4};
  /* mov [D1000000h], ax; wait: pause; cmp [34000h], ecx; jne wait; dec ecx; jnz back; hlt */
  static const unsigned char answered[] = {0x66, 0xa3, 0,    0,    0,    0xd1, 0xf3, 0x90, 0x39, 0x0d,
                                           0,    0x40, 0x03, 0,    0x75, 0xf6, 0x49, 0x75, 0xed, 0xf4};
  pthread_t thread;
  int answers = strcmp(argv[1], "answer") == 0;
  if (strcmp(argv[1], "port") == 0) {
    memcpy(ram + 0x1000, port, sizeof port);
  } else if (answers || strcmp(argv[1], "doorbell") == 0) {
    memcpy(ram + 0x1000, answers ? answered : doorbell, answers ? sizeof answered : sizeof doorbell);
    bell = eventfd(0, 0);
    struct kvm_ioeventfd heard = {.addr = 0xd1000000, .fd = bell};
    need(bell >= 0 && ioctl(vm, KVM_IOEVENTFD, &heard) == 0, "KVM_IOEVENTFD");
    need(!answers || pthread_create(&thread, 0, answer, &count) == 0, "pthread_create");
  } else {
    memcpy(ram + 0x1000, memory, sizeof memory);
  }
  struct kvm_sregs sregs;
  need(ioctl(cpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
  sregs.cs = segment(8, 0xb);
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment(16, 3);
  sregs.cr0 = 0x11;
  need(ioctl(cpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
  struct kvm_regs regs = {.rip = 0x1000, .rcx = count, .rsp = 0x8000, .rflags = 2};
  need(ioctl(cpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
  volatile unsigned char sink;
  double start = now();
  for (;;) {
    need(ioctl(cpu, KVM_RUN, 0) == 0, "KVM_RUN");
    if (run->exit_reason == KVM_EXIT_IO) {
      sink = ((unsigned char *) run)[run->io.data_offset];
    } else if (run->exit_reason == KVM_EXIT_MMIO) {
      sink = run->mmio.data[0];
    } else {
      need(run->exit_reason == KVM_EXIT_HLT, "exit");
      break;
    }
  }
  (void) sink;
  printf("%.1f\n", (now() - start) / count);
  return 0;
}
