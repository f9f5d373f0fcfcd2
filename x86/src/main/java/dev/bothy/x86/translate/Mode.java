package dev.bothy.x86.translate;

/** What a translation depends on besides its bytes: bits of its key. */
public final class Mode {
  /** 64-bit code; else 32-bit code with flat CS, DS, ES and SS. */
  public static final int LONG = 1;

  /** CPL 3; else CPL 0. */
  public static final int USER = 2;

  /** Supervisor with AC set and SMAP on. */
  public static final int AC = 4;

  /** SSE instructions fault now: CR0.EM, CR0.TS or no CR4.OSFXSR. */
  public static final int NO_SSE = 8;

  /** Some SIMD exception is unmasked. */
  public static final int SSE_TRAPS = 0x10;

  /** x87 and MMX instructions fault now: CR0.EM or CR0.TS. */
  public static final int NO_X87 = 0x20;

  /** Some x87 exception is unmasked. */
  public static final int X87_TRAPS = 0x40;

  /** FS and GS are flat but for their base: in 32-bit code. */
  public static final int FLAT_FS_GS = 0x80;

  /** Between VMRUN and #VMEXIT: instructions that a host may intercept look whether they are. */
  public static final int GUEST = 0x100;

  /** Data may be at addresses of 57 bits; the code itself is at one of 48. */
  public static final int FIVE_LEVELS = 0x200;

  /** Control flow is enforced at some level: see {@link EnforcedBranches}. */
  public static final int ENFORCED = 0x400;

  /** Indirect branches are tracked. */
  public static final int TRACKED = 0x800;

  /** And the last one has not reached its target. */
  public static final int WAITING = 0x1000;

  /** Calls and returns use a shadow stack. */
  public static final int SHADOWED = 0x2000;

  /** Every access looks for itself. Not the processor's choice: see {@link Leave#NARROW}. */
  public static final int NARROW = 0x4000;

  /** Number of modes of the processor. */
  public static final int COUNT = 0x4000;

  private Mode() {}

  static boolean is(int mode, int bit) {
    return (mode & bit) != 0;
  }
}
