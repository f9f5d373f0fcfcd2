package dev.bothy.x86.translate;

/** Why generated code returned to Java; what the exit number in the state then means. */
public final class Leave {
  /** The attention word is set; at the start of the block. */
  public static final int ATTENTION = 0;

  /** The budget does not cover the block; at its start. */
  public static final int BUDGET = 1;

  /** The block was dropped; at its start. */
  public static final int STALE = 2;

  /** The instruction at the exit's index is the interpreter's. */
  public static final int INTERPRET = 3;

  /** A load missed the TLB. */
  public static final int MISS_READ = 4;

  /** A store missed the TLB. */
  public static final int MISS_WRITE = 5;

  /** The direct jump of the exit's index is not chained yet. */
  public static final int CHAIN = 6;

  /** The jump cache does not know the address in {@code EngineArea.TARGET}. */
  public static final int JUMP = 7;

  /**
   * The jump cache does not know where the instruction at the exit's index leads: the interpreter
   * goes there, or faults.
   */
  public static final int INTERPRET_JUMP = 8;

  /** The same for a plain RET of 64-bit code, whose return address may be read. */
  public static final int RETURN = 9;

  /** The span that the exit's index leads is no span here, and no block is chained yet. */
  public static final int NARROW = 10;

  /** How many there are. */
  public static final int KINDS = 11;

  private static final String[] NAMES = {
    "attention",
    "budget",
    "dropped block",
    "interpreter",
    "TLB miss of a read",
    "TLB miss of a write",
    "unchained jump",
    "jump cache miss",
    "jump cache miss of an indirect jump",
    "jump cache miss of a return",
    "accesses over a page's end"
  };

  private Leave() {}

  /** A reason in words. */
  public static String name(int kind) {
    return NAMES[kind];
  }
}
