package dev.bothy.x86.translate;

import java.util.NavigableMap;

/**
 * Hears of the code that a {@link Translator} makes. Called by one thread at a time, any vCPU's,
 * which waits meanwhile; must not throw.
 */
public interface BlockListener {
  /**
   * The code that all blocks share has been written.
   *
   * @param names what begins where, by host address
   * @param end host address behind the last of it
   */
  void shared(NavigableMap<Long, String> names, long end);

  /** A block has been written and is about to run. */
  void translated(Translation translation);

  /** All blocks are gone, and their room will be used again. */
  void cleared();

  /** Nothing more will come. */
  void closed();

  /**
   * A block with what it was made from.
   *
   * @param linear guest-linear address of its first instruction when it was made; it may run
   *     elsewhere, too
   * @param page the bytes of the guest's page, and some behind it for an instruction that goes on
   *     there
   * @param address host address of {@code code}
   * @param code a copy of the host's code
   */
  record Translation(TranslatedBlock block, long linear, byte[] page, long address, byte[] code) {
    /** Linear address of instruction {@code index}. */
    long linear(int index) {
      return (linear & ~0xfffL) + block.offset(index);
    }

    /** True if a byte of some instruction lies at {@code address}. */
    boolean covers(long address) {
      return address >= (linear & ~0xfffL) + (block.from & 0xfff)
          && address < (linear & ~0xfffL) + (block.from & 0xfff) + (block.to - block.from);
    }

    /** The mode in words: "kernel", "user", "user 32-bit". */
    String mode() {
      return (Mode.is(block.mode, Mode.USER) ? "user" : "kernel")
          + (Mode.is(block.mode, Mode.LONG) ? "" : " 32-bit");
    }
  }
}
