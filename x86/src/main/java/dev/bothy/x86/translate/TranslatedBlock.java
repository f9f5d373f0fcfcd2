package dev.bothy.x86.translate;

/**
 * Machine code for a run of guest instructions on one page, which may be left at several places.
 * Shared by the vCPUs of a machine; immutable but for {@link #valid}.
 */
public final class TranslatedBlock {
  /** Index in the translator's list; exits name it. */
  final int number;

  /** Guest-physical address of the first instruction. */
  public final long physical;

  /**
   * Guest-physical page where its only instruction goes on, or -1. Such a block is entered only by
   * who has seen that both pages are mapped so: its far entry looks.
   */
  public final long secondPage;

  /** {@link Mode} it was made for. */
  public final int mode;

  /** Guest-physical addresses from the lowest byte translated up to the byte behind the last. */
  final long from;

  final long to;

  /** Offset of each instruction in its page. */
  final short[] offsets;

  /** Host address of each instruction's code, from its start, after flags were saved. */
  final int[] retry;

  /** A bit for each instruction that an STI before it keeps interrupts off for. */
  final long shadowed;

  /** A bit for each instruction whose first access that fails is the first that faults. */
  final long faultsAsFound;

  /** A bit for each instruction that reads where its look-up was for writing: others write. */
  final long readsFirst;

  /**
   * For each instruction: bytes between the address that it looks up and the one that it accesses;
   * null if none.
   */
  final short[] lookedAhead;

  /** For each instruction: which registers are loaded, as in {@code EngineArea.LOADED}. */
  final byte[] loaded;

  /** For each instruction: {@link X87Pointers} not in the state yet; null if there never are. */
  final int[] pointers;

  /**
   * For each chain exit: where its jump's displacement lies, and the target's offset in the page.
   */
  final int[] chainSites;

  final short[] chainTargets;

  /** For each chain exit: the number of instructions executed when it is taken. */
  final short[] chainCounts;

  /** Where chained jumps enter. */
  final long entry;

  /** Where jumps enter that have the linear address xor the jump key in R11. */
  final long farEntry;

  /** Where the entry goes once the block is dropped. */
  final long stale;

  final int hostBytes;
  volatile boolean valid = true;

  TranslatedBlock(
      int number,
      long physical,
      long secondPage,
      int mode,
      long from,
      long to,
      short[] offsets,
      int[] retry,
      byte[] loaded,
      long shadowed,
      long faultsAsFound,
      long readsFirst,
      short[] lookedAhead,
      int[] pointers,
      int[] chainSites,
      short[] chainTargets,
      short[] chainCounts,
      long entry,
      long farEntry,
      long stale,
      int hostBytes) {
    this.number = number;
    this.physical = physical;
    this.secondPage = secondPage;
    this.mode = mode;
    this.from = from;
    this.to = to;
    this.offsets = offsets;
    this.retry = retry;
    this.loaded = loaded;
    this.shadowed = shadowed;
    this.faultsAsFound = faultsAsFound;
    this.readsFirst = readsFirst;
    this.lookedAhead = lookedAhead;
    this.pointers = pointers;
    this.chainSites = chainSites;
    this.chainTargets = chainTargets;
    this.chainCounts = chainCounts;
    this.entry = entry;
    this.farEntry = farEntry;
    this.stale = stale;
    this.hostBytes = hostBytes;
  }

  /** True if any of {@code length} bytes at {@code address}, all on one page, went into it. */
  boolean overlaps(long address, long length) {
    if (secondPage < 0) {
      return from < address + length && to > address;
    }
    // What is beyond its page is on the second.
    long pageEnd = (physical | 0xfff) + 1;
    return from < address + length && pageEnd > address
        || secondPage < address + length && secondPage + (to - pageEnd) > address;
  }

  /** True until the guest overwrites what it was made from. */
  public boolean valid() {
    return valid;
  }

  /** Guest instructions. */
  public int count() {
    return offsets.length - 1;
  }

  /** Offset of instruction {@code index} in its page. */
  public int offset(int index) {
    return offsets[index];
  }

  public long entry() {
    return entry;
  }

  public long farEntry() {
    return farEntry;
  }

  /** Where to enter to run instruction {@code index} again. */
  public long retryAt(int index) {
    return entry + retry[index];
  }

  /** Which registers must be loaded there, as in {@code EngineArea.LOADED}. */
  public int loadedAt(int index) {
    return loaded[index];
  }

  /**
   * True if a page fault of an access of instruction {@code index} is what the instruction raises:
   * nothing else comes before it.
   */
  public boolean faultsAsFoundAt(int index) {
    return (faultsAsFound >>> index & 1) != 0;
  }

  /** True if a look-up for writing that instruction {@code index} missed is for a read. */
  public boolean readsFirst(int index) {
    return (readsFirst >>> index & 1) != 0;
  }

  /** Bytes from the address that instruction {@code index} has missed to the one it accesses. */
  public int lookedAhead(int index) {
    return lookedAhead == null ? 0 : lookedAhead[index];
  }

  /** True if STI was executed right before instruction {@code index}. */
  public boolean shadowedAt(int index) {
    return (shadowed >>> index & 1) != 0;
  }

  /**
   * What {@link X87Pointers#apply} has to do when the block is left at instruction {@code index}.
   */
  public int pointersAt(int index) {
    return pointers == null ? 0 : pointers[index];
  }

  public int chainTarget(int exit) {
    return chainTargets[exit];
  }

  public int chainCount(int exit) {
    return chainCounts[exit];
  }
}
