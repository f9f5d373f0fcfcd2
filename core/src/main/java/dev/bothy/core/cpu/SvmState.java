package dev.bothy.core.cpu;

/**
 * What AMD's virtualization extensions (AMD64 APM volume 2, chapter 15) add to a vCPU's state:
 * offsets in {@link CpuState}, behind the vector registers. All zeros is a processor on which
 * nothing of it is in use. Numbers of 8 bytes unless said otherwise.
 */
public final class SvmState {
  private static final int START = 0xc80;

  /** MSR VM_HSAVE_PA. What it points to is not used: the host's state is kept here. */
  public static final int HOST_SAVE_AREA = START;

  /** MSR VM_CR. */
  public static final int VM_CR = START + 0x08;

  /** 1 while the global interrupt flag, GIF, is clear. 4 bytes. */
  public static final int INTERRUPTS_HELD = START + 0x10;

  /** 1 while a guest runs: all between VMRUN and #VMEXIT. 4 bytes. */
  public static final int GUEST = START + 0x14;

  /** SMI waiting. 4 bytes. */
  public static final int SMI_PENDING = START + 0x18;

  /** NMIs were blocked for the host. 4 bytes. */
  public static final int HOST_NMI_BLOCKED = START + 0x1c;

  /** Physical address of the running guest's control block. */
  public static final int VMCB = START + 0x20;

  // The host's state while a guest runs.

  public static final int HOST_RAX = START + 0x28;
  public static final int HOST_RSP = START + 0x30;
  public static final int HOST_RIP = START + 0x38;
  public static final int HOST_RFLAGS = START + 0x40;
  public static final int HOST_CR0 = START + 0x48;
  public static final int HOST_CR3 = START + 0x50;
  public static final int HOST_CR4 = START + 0x58;
  public static final int HOST_EFER = START + 0x60;
  public static final int HOST_PAT = START + 0x68;

  /** Base and limit of GDTR, then of IDTR. */
  public static final int HOST_TABLES = START + 0x70;

  /** ES, CS, SS, DS as in {@link CpuState#SEGMENTS}. */
  public static final int HOST_SEGMENTS = START + 0x90;

  // What the control block says about the running guest, as it was at VMRUN.

  /** Six words of intercepts, 4 bytes each: bit n of all is that of exit code n. */
  public static final int INTERCEPTS = START + 0xf0;

  /** Number of words. */
  public static final int INTERCEPT_WORDS = 6;

  public static final int PORT_MAP = START + 0x108;
  public static final int MSR_MAP = START + 0x110;

  /** What the guest's TSC adds to the host's; {@link CpuState#TSC_OFFSET} has it already. */
  public static final int TSC_OFFSET = START + 0x118;

  /** Virtual interrupts: the control block's word at 0x60, as it is now. */
  public static final int VIRTUAL_INTERRUPT = START + 0x120;

  /** Nested paging is on: bit 0. */
  public static final int NESTED_CONTROL = START + 0x128;

  public static final int NESTED_CR3 = START + 0x130;

  /** PAUSE instructions until the next one that is intercepted. 4 bytes. */
  public static final int PAUSES = START + 0x138;

  /** Address-space identifier. 4 bytes. */
  public static final int ASID = START + 0x13c;

  /** INIT waiting. 4 bytes. */
  public static final int INIT_PENDING = START + 0x140;

  // More of the host's state.
  public static final int HOST_S_CET = START + 0x148;
  public static final int HOST_SSP = START + 0x150;
  public static final int HOST_INTERRUPT_SSP_TABLE = START + 0x158;

  private SvmState() {}
}
