package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Op;
import dev.bothy.x86.translate.TranslatedBlock;

/**
 * A straight run of decoded instructions on one page (or one instruction that straddles two),
 * private to a vCPU.
 */
final class Block {
  /** Guest-physical address of the first byte. */
  final long physical;

  /** Guest-physical page where a straddling instruction goes on, or -1. */
  final long secondPage;

  final int mode;

  /** Bytes. */
  int length;

  /**
   * Instructions without the one in {@link #end}; entries are replaced when the running block is
   * dropped. Null, like the end, once machine code has taken over.
   */
  Node[] body;

  /** Where each instruction starts, counted from the block's start; one more entry for the end. */
  short[] offsets;

  /** Instructions, the end's included; 0 while they are not known. */
  int count;

  /** What its first instruction does; null if that is none, or not known. */
  Op first;

  End end;
  boolean valid = true;
  Block nextInBucket;

  /** Times it was looked at for translation, up to the threshold. */
  int heat;

  /** Its first instruction is the interpreter's. */
  boolean untranslatable;

  /** Machine code from its start, or null; for whatever mode it ran in last. */
  TranslatedBlock translation;

  private static final Node[] NOTHING = {};
  private static final short[] UNKNOWN = {0};

  Block(
      long physical,
      long secondPage,
      int mode,
      int length,
      Node[] body,
      short[] offsets,
      boolean endCounts,
      End end,
      Op first) {
    this.physical = physical;
    this.secondPage = secondPage;
    this.mode = mode;
    this.length = length;
    this.body = body;
    this.offsets = offsets;
    this.count = body.length + (endCounts ? 1 : 0);
    this.end = end;
    this.first = first;
  }

  /** A block that has not been decoded, since there is machine code for it. */
  static Block undecoded(long physical, int mode, TranslatedBlock translation) {
    // Any change of what it may consist of drops it.
    int length = 4096 - (int) (physical & 0xfff);
    Block block = new Block(physical, -1, mode, length, NOTHING, UNKNOWN, false, null, null);
    block.body = null;
    block.heat = Integer.MAX_VALUE;
    block.translation = translation;
    return block;
  }

  /** Takes over what {@code decoded}, of the same place, consists of. */
  void become(Block decoded) {
    length = decoded.length;
    body = decoded.body;
    offsets = decoded.offsets;
    count = decoded.count;
    first = decoded.first;
    end = decoded.end;
  }

  /** Makes what is left of this block leave at once: it has been overwritten while it runs. */
  void stop() {
    if (body != null) {
      java.util.Arrays.fill(body, StopBlock.NODE);
    }
    end = StopBlock.END;
  }
}
