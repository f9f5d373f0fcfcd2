package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Writes the code of one block after the other, before it is known where it will stand and what the
 * block's number will be. Knows nothing of other blocks; one thread at a time.
 */
final class BlockComposer {
  private final Translator.Options options;
  private final boolean counts;
  private final long origin;
  private final BlockDecoder decoder;
  private final Instruction[] instructions;
  private final int[] offsets;
  private final int[] ends = new int[BlockWriter.MOST];
  private final int[] live = new int[BlockWriter.MOST];
  private final boolean[] observing = new boolean[BlockWriter.MOST];
  private final byte[] loaded = new byte[BlockWriter.MOST + 1];
  private final int[] retry = new int[BlockWriter.MOST + 1];
  private final int[] pointers = new int[BlockWriter.MOST + 1];

  private final BlockWriter writer;

  /** Instructions of the block at hand. */
  private int count;

  private int stale;

  /**
   * @param counts code counts {@link Event}s
   * @param origin where code is written for: a multiple of 16 near the stubs
   */
  BlockComposer(
      CpuModel model, Translator.Options options, Stubs stubs, boolean counts, long origin) {
    this.options = options;
    this.counts = counts;
    this.origin = origin;
    decoder = new BlockDecoder(model, options.longestBlock());
    instructions = decoder.instructions;
    offsets = decoder.offsets;
    writer = new BlockWriter(stubs, counts, retry);
  }

  /**
   * Writes the block at {@code physical}, on the page at host address {@code pageAt}.
   *
   * @param secondAt host address of the page where the first instruction goes on, or 0
   * @return false if the first instruction is the interpreter's
   */
  boolean compose(long pageAt, long secondAt, long physical, int mode, Translator.CodePages pages) {
    count = decoder.decode(pageAt, secondAt, physical, mode, pages);
    boolean whole = true;
    while (count != 0) {
      int done = emit(mode, count, whole);
      if (done == count) {
        stale = writer.finish(count, offsets);
        return true;
      }
      // Instruction `done` is the interpreter's.
      count = done;
      whole = false;
    }
    return false;
  }

  // What happens to its pages meanwhile; under the translator's lock.

  private static final long NO_PAGE = -1;
  private long firstPage = NO_PAGE;
  private long secondPage = NO_PAGE;
  private boolean sound;

  /** Bytes of these guest-physical pages are read from now on; the second may be -1. */
  void begin(long first, long second) {
    firstPage = first;
    secondPage = second;
    sound = true;
  }

  /** They have been read; false if they, or all that was known, changed in between. */
  boolean end() {
    firstPage = NO_PAGE;
    secondPage = NO_PAGE;
    return sound;
  }

  /** True if bytes of the guest-physical page are being read. */
  boolean reads(long page) {
    return page == firstPage || page == secondPage;
  }

  /** Something was written to that page. */
  void overwritten(long page) {
    sound &= !reads(page);
  }

  /** Whatever is being composed will not be wanted. */
  void overwritten() {
    sound = false;
  }

  /** Bytes of code of the block at hand. */
  int length() {
    return writer.a.size();
  }

  byte[] code() {
    return writer.a.buffer();
  }

  /** The page that the block was made from, as it was then. */
  byte[] page() {
    return decoder.page;
  }

  /** Where the entry is in the code. */
  int entry() {
    return writer.entry;
  }

  /** Where the far entry is in the code. */
  int farEntry() {
    return writer.farEntry;
  }

  /** Makes the code that of block {@code number}, {@code place} bytes from the origin. */
  void relocate(int number, int place) {
    byte[] code = code();
    for (int site : writer.a.outside()) {
      INT.set(code, site, (int) INT.get(code, site) - place);
    }
    for (int i = 0; i < writer.exitSiteCount; i++) {
      int site = writer.exitSites[i];
      INT.set(code, site, (int) INT.get(code, site) | number << 8);
    }
  }

  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  /**
   * The block at hand, relocated.
   *
   * @param far host address where jumps from other pages enter it
   */
  TranslatedBlock block(int number, int place, long physical, long secondPage, int mode, long far) {
    BlockWriter w = writer;
    int low = 4096;
    int high = 0;
    short[] starts = new short[count + 1];
    for (int k = 0; k <= count; k++) {
      starts[k] = (short) offsets[k];
      retry[k] -= w.entry;
      if (k < count) {
        low = Math.min(low, offsets[k]);
        high = Math.max(high, offsets[k] + instructions[k].length);
      }
    }
    for (int c = 0; c < w.chains; c++) {
      if (w.chainSites[c] >= 0) {
        w.chainSites[c] -= w.entry;
      }
    }
    long pagePhysical = physical & ~0xfffL;
    long at = origin + place;
    return new TranslatedBlock(
        number,
        physical,
        secondPage,
        mode,
        pagePhysical + low,
        pagePhysical + high,
        starts,
        Arrays.copyOf(retry, count + 1),
        Arrays.copyOf(loaded, count + 1),
        w.shadowed,
        faultsAsFound(count),
        w.spans.any() ? readsFirst(count) : 0,
        w.spans.any() ? lookedAhead(count) : null,
        anyPointers() ? Arrays.copyOf(pointers, count + 1) : null,
        Arrays.copyOf(w.chainSites, w.chains),
        Arrays.copyOf(w.chainTargets, w.chains),
        Arrays.copyOf(w.chainCounts, w.chains),
        at + w.entry,
        far,
        at + stale,
        length());
  }

  /** See {@link TranslatedBlock#pointers}. */
  private boolean anyPointers() {
    int any = 0;
    for (int k = 0; k <= count; k++) {
      any |= pointers[k];
    }
    return any != 0;
  }

  /** Keeps the block at hand, {@code block}, for later machines. */
  void keep(StoredTranslations stored, TranslatedBlock block, int place) {
    for (int k = 0; k < count; k++) {
      ends[k] = offsets[k] + instructions[k].length;
    }
    stored.add(block, decoder.page, ends, writer, place);
  }

  /** See {@link TranslatedBlock#faultsAsFoundAt}. */
  private long faultsAsFound(int count) {
    long bits = 0;
    for (int k = 0; k < count; k++) {
      switch (instructions[k].entry.lowering()) {
        case PLAIN, FLAGS, STACK, CONTROL, STRING, SSE, AVX -> bits |= 1L << k;
        default -> {}
      }
    }
    return bits;
  }

  /** See {@link TranslatedBlock#readsFirst}. */
  private long readsFirst(int count) {
    long bits = 0;
    for (int k = 0; k < count; k++) {
      bits |= (writer.spans.readsFirst(k) ? 1L : 0) << k;
    }
    return bits;
  }

  /** See {@link TranslatedBlock#lookedAhead}. */
  private short[] lookedAhead(int count) {
    short[] ahead = null;
    for (int k = 0; k < count; k++) {
      int bytes = writer.spans.lookedAhead(k);
      if (bytes != 0) {
        ahead = ahead == null ? new short[count] : ahead;
        ahead[k] = (short) bytes;
      }
    }
    return ahead;
  }

  /**
   * Writes the first {@code count} instructions.
   *
   * @param whole nothing but the end of the block follows them; else an instruction of the
   *     interpreter's
   * @return how many could be written
   */
  private int emit(int mode, int count, boolean whole) {
    BlockWriter w = writer;
    w.spans.plan(
        instructions, offsets, count, Mode.is(mode, Mode.LONG), Mode.is(mode, Mode.NARROW));
    for (int k = 0, units = 0; k < count; k++) {
      observing[k] =
          Units.needed(instructions[k], units)
              || observes(instructions[k]) && (counts || !w.spans.isQuiet(k, instructions[k]));
      units = Units.after(instructions[k], units);
    }
    int needed = TableEntry.ARITHMETIC;
    for (int k = count - 1; k >= 0; k--) {
      Instruction i = instructions[k];
      live[k] = needed;
      // Where a conditional jump leads when it is taken, any flag may be wanted.
      needed =
          observing[k] || i.op == Op.JCC
              ? TableEntry.ARITHMETIC
              : needed & ~FlagUse.kills(i) | FlagUse.reads(i);
    }
    w.start(mode, origin);
    w.offset = offsets[0];
    w.head(options.counting());
    for (int k = 0; k < count; k++) {
      Instruction i = instructions[k];
      w.index = k;
      w.offset = offsets[k];
      w.liveAfter = live[k];
      w.last = whole && k == count - 1;
      if (observing[k]) {
        w.observe();
      }
      if (observing[k] || k > 0 && isIntricate(instructions[k - 1])) {
        // A miss comes back here, or several ways lead here.
        w.scratch.forget();
      }
      if (mayBranch(i)) {
        w.x87Pointers.flush(w);
      }
      pointers[k] = w.x87Pointers.pending();
      retry[k] = w.a.size();
      loaded[k] = (byte) w.loadedUnits;
      if (decoder.followed[k]) {
        continue;
      }
      if (!w.roomForMore()
          || !options.approximating() && Lowerings.approximates(i.op)
          || !Lowerings.write(w, i)) {
        return k;
      }
    }
    retry[count] = w.a.size();
    loaded[count] = 0;
    pointers[count] = w.x87Pointers.pending();
    if (!whole) {
      w.index = count;
      w.observe();
      w.interpret();
    } else if (!decoder.endsByItself) {
      w.index = count - 1;
      w.x87Pointers.flush(w);
      if (decoder.straddleFollows) {
        w.jumpFar(offsets[count]);
      } else {
        w.jumpTo(offsets[count]);
      }
    }
    return count;
  }

  /** True if the code of {@code i} may have jumps in it. */
  private static boolean isIntricate(Instruction i) {
    return switch (i.entry.lowering()) {
      case PLAIN, FLAGS, STACK, SSE, AVX, NOP -> false;
      default -> true;
    };
  }

  /** True if {@code i} may go on elsewhere without a return to Java. */
  private static boolean mayBranch(Instruction i) {
    return switch (i.entry.lowering()) {
      case PLAIN, FLAGS, STACK, NOP, SSE, AVX, MMX, X87 -> false;
      default -> true;
    };
  }

  /**
   * True if somebody may look at the flags as they are before {@code i}: it may leave the block.
   */
  private static boolean observes(Instruction i) {
    switch (i.op) {
      case JCC, NOP, LEA, ENDBR64, ENDBR32 -> {
        return false;
      }
      case DIV, IDIV -> {
        return true;
      }
      case JMP -> {
        return i.kind[0] != Instruction.RELATIVE;
      }
      default -> {}
    }
    switch (i.entry.lowering()) {
      case PLAIN, FLAGS, SSE, AVX, MMX, X87 -> {
        if (i.entry.has(TableEntry.RDI)) {
          return true;
        }
        for (int n = 0; n < i.operands; n++) {
          if (i.kind[n] == Instruction.MEMORY) {
            return true;
          }
        }
        return i.op == Op.CLD || i.op == Op.STD || i.op == Op.LAHF;
      }
      default -> {
        return true;
      }
    }
  }
}
