package dev.bothy.x86.interpret;

/**
 * #VMEXIT: leaves the guest that runs between VMRUN and this for its host (AMD64 APM volume 2,
 * section 15.6), from whatever the processor does, to the run loop. The guest's state is then as
 * before the instruction. One preallocated instance a vCPU, without stack trace.
 */
public final class VirtualExit extends RuntimeException {
  private static final long serialVersionUID = 1L;

  // Exit codes; those below 0xc0 are the numbers of the intercepts' bits, too.
  public static final int READ_CR = 0x00;
  public static final int WRITE_CR = 0x10;
  public static final int READ_DR = 0x20;
  public static final int WRITE_DR = 0x30;
  public static final int EXCEPTION = 0x40;
  public static final int INTERRUPT = 0x60;
  public static final int NMI = 0x61;
  public static final int SMI = 0x62;
  public static final int INIT = 0x63;
  public static final int VIRTUAL_INTERRUPT = 0x64;
  public static final int SELECTIVE_CR0 = 0x65;
  public static final int READ_IDTR = 0x66;
  public static final int READ_GDTR = 0x67;
  public static final int READ_LDTR = 0x68;
  public static final int READ_TR = 0x69;
  public static final int WRITE_IDTR = 0x6a;
  public static final int WRITE_GDTR = 0x6b;
  public static final int WRITE_LDTR = 0x6c;
  public static final int WRITE_TR = 0x6d;
  public static final int RDTSC = 0x6e;
  public static final int RDPMC = 0x6f;
  public static final int PUSHF = 0x70;
  public static final int POPF = 0x71;
  public static final int CPUID = 0x72;
  public static final int RSM = 0x73;
  public static final int IRET = 0x74;
  public static final int SOFTWARE_INTERRUPT = 0x75;
  public static final int INVD = 0x76;
  public static final int PAUSE = 0x77;
  public static final int HLT = 0x78;
  public static final int INVLPG = 0x79;
  public static final int INVLPGA = 0x7a;
  public static final int PORT = 0x7b;
  public static final int MSR = 0x7c;
  public static final int TASK_SWITCH = 0x7d;
  public static final int SHUTDOWN = 0x7f;
  public static final int VMRUN = 0x80;
  public static final int VMMCALL = 0x81;
  public static final int VMLOAD = 0x82;
  public static final int VMSAVE = 0x83;
  public static final int STGI = 0x84;
  public static final int CLGI = 0x85;
  public static final int RDTSCP = 0x87;
  public static final int ICEBP = 0x88;
  public static final int WBINVD = 0x89;
  public static final int MONITOR = 0x8a;
  public static final int MWAIT = 0x8b;
  public static final int MWAIT_ARMED = 0x8c;
  public static final int XSETBV = 0x8d;
  public static final int INVPCID = 0xa2;
  public static final int NESTED_PAGE_FAULT = 0x400;
  public static final int INVALID = -1;

  int code;

  /** EXITINFO1 and EXITINFO2. */
  long information;

  long information2;

  /** RIP behind the intercepted instruction, or 0. */
  long next;

  VirtualExit() {
    super(null, null, false, false);
  }

  /** The exit with that code, to be thrown. */
  VirtualExit with(int exitCode, long first, long second) {
    code = exitCode;
    information = first;
    information2 = second;
    next = 0;
    return this;
  }
}
