package dev.bothy.x86.interpret;

import dev.bothy.x86.decode.Op;

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
  final int length;

  /**
   * Instructions without the one in {@link #end}; entries are replaced when the running block is
   * dropped. Null, like the end, once machine code has taken over.
   */
  Node[] body;

  /** Where each instruction starts, counted from the block's start; one more entry for the end. */
  final short[] offsets;

  /** Instructions, the end's included. */
  final int count;

  /** What its first instruction does; null if that is none. */
  final Op first;

  End end;
  boolean valid = true;
  Block nextInBucket;

  /** Times it was looked at for translation, up to the threshold. */
  int heat;

  /** Its first instruction is the interpreter's. */
  boolean untranslatable;

  /** Machine code from its start, or null; for whatever mode it ran in last. */
  dev.bothy.x86.translate.TranslatedBlock translation;

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

  /** Makes what is left of this block leave at once: it has been overwritten while it runs. */
  void stop() {
    if (body != null) {
      java.util.Arrays.fill(body, StopBlock.NODE);
    }
    end = StopBlock.END;
  }
}
