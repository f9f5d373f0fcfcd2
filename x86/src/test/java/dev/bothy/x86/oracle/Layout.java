package dev.bothy.x86.oracle;

/**
 * Where everything lies. The linear addresses are the same on the host and in the guest, below 2
 * GiB, so that every form of address can reach them.
 */
final class Layout {
  static final int PAGE = 4096;

  /** Instructions under test, {@link #SLOTS} slots of {@link #SLOT_SIZE} bytes. */
  static final long CODE = 0x1358_0000L;

  static final int SLOT_SIZE = 128;
  static final int SLOTS = 512;

  /** Sequences under test, anywhere in there. */
  static final long SEQUENCES = CODE + SLOTS * SLOT_SIZE;

  static final int SEQUENCES_SIZE = 0x1_0000;
  static final int CODE_SIZE = SLOTS * SLOT_SIZE + SEQUENCES_SIZE;

  /** In a slot: where a branch back lands, the instruction, where a branch forward lands. */
  static final int SLOT_BACK = 0;

  static final int SLOT_INSTRUCTION = 64;
  static final int SLOT_FORWARD = 112;

  /** Two writable pages with nothing mapped before and behind. */
  static final long DATA = 0x2460_0000L;

  static final int DATA_SIZE = 2 * PAGE;

  /** One page that may be read only, nothing mapped around it. */
  static final long READ_ONLY = 0x2461_0000L;

  /** The trampoline and the signal handler; the host only. */
  static final long STUBS = 0x3570_0000L;

  /** State records; the host only. */
  static final long BLOCK = 0x3571_0000L;

  static final int BLOCK_SIZE = PAGE;
  static final long INPUT = BLOCK;
  static final long NATIVE = BLOCK + 0x400;
  static final long GUEST = BLOCK + 0x800;
  static final long CONTROL = BLOCK + 0xc00;

  /** Stack for signal handlers; the host only. */
  static final long SIGNAL_STACK = 0x3572_0000L;

  static final int SIGNAL_STACK_SIZE = 0x1_0000;

  // A state record.
  static final int GPR = 0x000;
  static final int RIP = 0x080;
  static final int RFLAGS = 0x088;

  /** Vector of the exception, -1 for none. */
  static final int VECTOR = 0x090;

  static final int ERROR_CODE = 0x098;

  /** Only of a page fault. */
  static final int CR2 = 0x0a0;

  static final int GS_BASE = 0x0a8;
  static final int FS_BASE = 0x0c0;

  /** Selectors: CS SS DS ES FS GS, 2 bytes each. */
  static final int SELECTORS = 0x0b0;

  /** FXSAVE64 image. */
  static final int FX = 0x100;

  static final int FX_MXCSR = FX + 24;
  static final int FX_ST = FX + 32;
  static final int FX_XMM = FX + 160;

  /** Upper halves of the YMM registers. */
  static final int YMM_UPPER = FX + 512;

  static final int RECORD_SIZE = 0x400;

  // Selectors of a Linux user process, which the guest has as well.
  static final int USER_CODE32 = 0x23;
  static final int USER_DATA = 0x2b;
  static final int USER_CODE64 = 0x33;

  private Layout() {}
}
