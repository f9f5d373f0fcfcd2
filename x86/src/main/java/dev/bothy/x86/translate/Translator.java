package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.ExecutableMemory;
import dev.bothy.host.NativeFunction;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Makes machine code from guest code and keeps it, for all vCPUs of a machine. Thread-safe; code is
 * freed only by {@link #clear}, when no vCPU is inside.
 */
public final class Translator implements AutoCloseable {
  /**
   * How to translate.
   *
   * @param longestBlock guest instructions in a block at most, 1 to 64
   * @param counting blocks take their instructions off {@code EngineArea.BUDGET}
   * @param codeBytes room for code
   * @param approximating approximations are the host's, see {@link TranslatorEngine.Options}
   */
  public record Options(
      int longestBlock, boolean counting, long codeBytes, boolean approximating) {}

  /** Where pages with machine code are marked, so that stores to them are seen. */
  public interface CodePages {
    /**
     * Marks the page of {@code physical}; false if that needs more than a mark: it has none yet.
     */
    boolean markTranslated(long physical);

    void unmarkTranslated(long physical);
  }

  private static final int STUBS_SIZE = 16384;

  /** Blocks at most: each takes about 450 bytes of Java's heap, which is small. */
  private static final int MOST_BLOCKS = 3 << 16;

  /** No block's code is longer. */
  private static final int LONGEST_CODE = 64 << 10;

  private final CpuModel model;
  private final Options options;
  private final List<BlockListener> listeners;
  private final boolean counts;
  private final ExecutableMemory memory;
  private final Stubs stubs;
  private final MemorySegment enter;
  private final MemorySegment clock;
  private long used;

  private final ArrayList<TranslatedBlock> blocks = new ArrayList<>();

  /** Blocks by the page they start on. */
  private final Map<Long, ArrayList<TranslatedBlock>> byPage = new HashMap<>();

  private final BlockIndex index = new BlockIndex();

  // The block at hand.
  private final BlockDecoder decoder;
  private final Instruction[] instructions;
  private final int[] offsets;
  private final int[] ends = new int[BlockWriter.MOST];
  private final int[] live = new int[BlockWriter.MOST];
  private final boolean[] observing = new boolean[BlockWriter.MOST];
  private final byte[] loaded = new byte[BlockWriter.MOST + 1];
  private final int[] retry = new int[BlockWriter.MOST + 1];
  private final int[] pointers = new int[BlockWriter.MOST + 1];

  private final TranslatorCounts statistics = new TranslatorCounts();

  /**
   * @param counts code counts {@link Event}s
   * @param listeners are told of the blocks that are made here, and when the translator closes
   * @param folder where translations are kept between machines, if they are
   * @throws IOException if this host does not let us run generated code; the message tells why
   */
  public Translator(
      CpuModel model,
      Options options,
      boolean counts,
      List<BlockListener> listeners,
      Optional<Path> folder)
      throws IOException {
    this.counts = counts;
    this.model = model;
    this.options = options;
    this.listeners = List.copyOf(listeners);
    memory = ExecutableMemory.allocate(options.codeBytes);
    var assembler = new dev.bothy.assemble.Assembler();
    assembler.start(memory.address());
    clock = NativeFunction.address("clock_gettime");
    stubs = new Stubs(assembler, clock.address());
    if (assembler.size() > STUBS_SIZE) {
      throw new IllegalStateException("stubs of " + assembler.size() + " bytes");
    }
    memory.put(0, assembler.bytes());
    for (BlockListener listener : listeners) {
      listener.shared(StubNames.of(stubs), assembler.here());
    }
    enter = MemorySegment.ofAddress(stubs.enter);
    used = STUBS_SIZE;
    decoder = new BlockDecoder(model, options.longestBlock);
    instructions = decoder.instructions;
    offsets = decoder.offsets;
    blockWriter = new BlockWriter(stubs, counts, retry);
    long stubsEnd = assembler.here();
    stored = folder.flatMap(f -> store(f, stubsEnd)).orElse(null);
  }

  private Optional<StoredTranslations> store(Path folder, long stubsEnd) {
    List<Long> places = new ArrayList<>(List.of(stubsEnd - memory.address()));
    StubNames.of(stubs).keySet().forEach(address -> places.add(address - memory.address()));
    return TranslationKey.of(model, options, counts, places)
        .map(key -> new StoredTranslations(folder, key, StoredTranslations.USUAL_SIZE));
  }

  private final BlockWriter blockWriter;

  /** What earlier machines have translated, or null. */
  private final StoredTranslations stored;

  /** Address of {@code long enter(long base, long code)}: runs code until it leaves. */
  public MemorySegment enter() {
    return enter;
  }

  /** The C library's clock_gettime, which generated code reads the time by. */
  public MemorySegment clock() {
    return clock;
  }

  /**
   * Where to enter to go on at {@code EngineArea.TARGET} with registers loaded as in {@code
   * EngineArea.LOADED}.
   */
  public long resume(int loaded) {
    return stubs.resume[loaded];
  }

  /** Host address of what {@code EngineArea.BLOCK_INDEX} points to. */
  public long blockIndex() {
    return index.address();
  }

  /** The block by the number in an exit. */
  public synchronized TranslatedBlock block(int number) {
    return blocks.get(number);
  }

  private TranslatedBlock find(long physical, long secondPage, int mode) {
    List<TranslatedBlock> page = byPage.get(physical & ~0xfffL);
    if (page != null) {
      for (TranslatedBlock block : page) {
        if (block.physical == physical && block.secondPage == secondPage && block.mode == mode) {
          return block;
        }
      }
    }
    return null;
  }

  /** True if the next translation may not find room: {@link #clear} comes first. */
  public synchronized boolean full() {
    return used + LONGEST_CODE > memory.size() || blocks.size() >= MOST_BLOCKS;
  }

  /**
   * Translates the code at {@code physical}, on a page that the caller has marked for itself.
   *
   * @param linear its linear address at present, for listeners
   * @param pageAt host address of the page
   * @param secondPage guest-physical page where the first instruction goes on, marked as well, or
   *     -1
   * @param secondAt its host address
   * @return null if the first instruction is the interpreter's, or the page has lost its mark
   */
  public synchronized TranslatedBlock translate(
      long physical,
      long linear,
      long pageAt,
      long secondPage,
      long secondAt,
      int mode,
      CodePages pages) {
    TranslatedBlock known = find(physical, secondPage, mode);
    if (known != null) {
      return known;
    }
    // Before the bytes are read.
    if (!pages.markTranslated(physical)) {
      return null;
    }
    if (secondPage >= 0 && !pages.markTranslated(secondPage)) {
      unmarkIfEmpty(physical, pages);
      return null;
    }
    long start = System.nanoTime();
    TranslatedBlock block = secondPage < 0 ? load(physical, pageAt, mode) : null;
    if (block != null) {
      return block;
    }
    int count = decoder.decode(pageAt, secondAt, (int) physical & 0xfff, mode);
    block = count == 0 ? null : write(physical, secondPage, secondAt, mode, count);
    if (block != null) {
      index.put(pageAt + (physical & 0xfff), mode, block.farEntry);
    } else {
      unmarkIfEmpty(physical, pages);
      if (secondPage >= 0) {
        unmarkIfEmpty(secondPage, pages);
      }
    }
    statistics.measure(block, System.nanoTime() - start);
    if (block != null && !listeners.isEmpty()) {
      tell(block, linear);
    }
    return block;
  }

  /**
   * The translation of the code at {@code physical} if there is one already, here or from an
   * earlier machine: then it need not become hot first. Arguments as in {@link #translate}.
   */
  public synchronized TranslatedBlock known(long physical, long pageAt, int mode, CodePages pages) {
    if (stored == null || full()) {
      return null;
    }
    TranslatedBlock known = find(physical, -1, mode);
    if (known != null) {
      return known;
    }
    if (!stored.mayHave(mode, pageAt, (int) physical & 0xfff) || !pages.markTranslated(physical)) {
      return null;
    }
    TranslatedBlock block = load(physical, pageAt, mode);
    if (block == null) {
      unmarkIfEmpty(physical, pages);
    }
    return block;
  }

  /**
   * The block at {@code physical}, on a marked page, as an earlier machine has made it; or null.
   */
  private TranslatedBlock load(long physical, long pageAt, int mode) {
    StoredBlock record = stored == null ? null : stored.find(mode, pageAt, (int) physical & 0xfff);
    if (record == null || used + record.codeLength() > memory.size()) {
      return null;
    }
    long origin = memory.address() + used;
    TranslatedBlock block = record.block(blocks.size(), physical, origin);
    if (block == null) {
      return null;
    }
    record.relocate(block.number, (int) used);
    put(record.bytes(), record.codeAt(), record.codeLength());
    enter(block);
    index.put(pageAt + (physical & 0xfff), mode, block.farEntry);
    statistics.loadedBlocks++;
    return block;
  }

  /** True if translations are kept between machines. */
  public boolean keeps() {
    return stored != null;
  }

  /** Tells the listeners of the block at hand. */
  private void tell(TranslatedBlock block, long linear) {
    byte[] code = blockWriter.a.bytes();
    long address = block.entry - blockWriter.entry;
    var translation =
        new BlockListener.Translation(block, linear, decoder.page.clone(), address, code);
    listeners.forEach(listener -> listener.translated(translation));
  }

  private void unmarkIfEmpty(long physical, CodePages pages) {
    if (!byPage.containsKey(physical & ~0xfffL)) {
      pages.unmarkTranslated(physical);
    }
  }

  private TranslatedBlock write(
      long physical, long secondPage, long secondAt, int mode, int decoded) {
    int count = decoded;
    boolean whole = true;
    for (; ; ) {
      int done = emit(physical, mode, count, whole);
      if (done == count) {
        break;
      }
      if (done == 0) {
        return null;
      }
      // Instruction `done` is the interpreter's.
      count = done;
      whole = false;
    }
    BlockWriter w = blockWriter;
    int stale = w.finish(count, offsets);
    int length = w.a.size();
    int place = (int) used;
    long origin = memory.address() + used;
    put(w.a.buffer(), 0, length);
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
    TranslatedBlock block =
        new TranslatedBlock(
            w.number,
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
            w.x87Loaded ? Arrays.copyOf(pointers, count + 1) : null,
            Arrays.copyOf(w.chainSites, w.chains),
            Arrays.copyOf(w.chainTargets, w.chains),
            Arrays.copyOf(w.chainCounts, w.chains),
            origin + w.entry,
            secondPage < 0
                ? origin + w.farEntry
                : straddleEntry((int) physical & 0xfff, secondAt, mode, origin + w.farEntry),
            origin + stale,
            length);
    enter(block);
    if (stored != null && secondPage < 0) {
      for (int k = 0; k < count; k++) {
        ends[k] = offsets[k] + instructions[k].length;
      }
      stored.add(block, decoder.page, ends, w, place);
    }
    statistics.translated++;
    statistics.guestInstructions += count;
    statistics.guestBytes += high - low;
    statistics.hostBytes += length;
    return block;
  }

  /** Puts code where the next block goes. */
  private void put(byte[] code, int from, int length) {
    MemorySegment.copy(
        code, from, memory.writable(), java.lang.foreign.ValueLayout.JAVA_BYTE, used, length);
    used += length + 15 & ~15;
  }

  /** From here on it is found. */
  private void enter(TranslatedBlock block) {
    blocks.add(block);
    byPage.computeIfAbsent(block.physical & ~0xfffL, p -> new ArrayList<>(4)).add(block);
    if (block.secondPage >= 0) {
      byPage.computeIfAbsent(block.secondPage, p -> new ArrayList<>(4)).add(block);
    }
  }

  /** See {@link TranslatedBlock#faultsAsFoundAt}. */
  private long faultsAsFound(int count) {
    long bits = 0;
    for (int k = 0; k < count; k++) {
      switch (instructions[k].entry.lowering()) {
        case PLAIN, FLAGS, STACK, CONTROL, STRING, SSE -> bits |= 1L << k;
        default -> {}
      }
    }
    return bits;
  }

  /** See {@link TranslatedBlock#readsFirst}. */
  private long readsFirst(int count) {
    long bits = 0;
    for (int k = 0; k < count; k++) {
      bits |= (blockWriter.spans.readsFirst(k) ? 1L : 0) << k;
    }
    return bits;
  }

  /** See {@link TranslatedBlock#lookedAhead}. */
  private short[] lookedAhead(int count) {
    short[] ahead = null;
    for (int k = 0; k < count; k++) {
      int bytes = blockWriter.spans.lookedAhead(k);
      if (bytes != 0) {
        ahead = ahead == null ? new short[count] : ahead;
        ahead[k] = (short) bytes;
      }
    }
    return ahead;
  }

  /**
   * Writes {@code count} instructions.
   *
   * @param whole nothing but the end of the block follows them; else an instruction of the
   *     interpreter's
   * @return how many could be written
   */
  private int emit(long physical, int mode, int count, boolean whole) {
    BlockWriter w = blockWriter;
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
    w.start(mode, blocks.size(), memory.address() + used);
    w.offset = offsets[0];
    w.head(options.counting);
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
      loaded[k] = (byte) ((w.vectorsLoaded ? 1 : 0) | (w.x87Loaded ? 2 : 0));
      if (decoder.followed[k]) {
        continue;
      }
      if (!w.roomForMore()
          || !options.approximating && Lowerings.approximates(i.op)
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
      case PLAIN, FLAGS, STACK, SSE, NOP -> false;
      default -> true;
    };
  }

  /** True if {@code i} may go on elsewhere without a return to Java. */
  private static boolean mayBranch(Instruction i) {
    return switch (i.entry.lowering()) {
      case PLAIN, FLAGS, STACK, NOP, SSE, MMX, X87 -> false;
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
      case PLAIN, FLAGS, SSE, MMX, X87 -> {
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

  /** Makes exit {@code exit} of {@code from} lead to {@code to} from now on. */
  public synchronized void chain(TranslatedBlock from, int exit, TranslatedBlock to) {
    int site = from.chainSites[exit];
    if (site < 0 || !from.valid || !to.valid) {
      return;
    }
    long target = to.secondPage < 0 ? to.entry : farJump(from.chainTargets[exit], to.mode);
    long at = from.entry + site;
    RawMemory.putInt(writable(at), (int) (target - (at + 4)));
    statistics.chained++;
  }

  /**
   * Who still jumps to {@code old}, which was dropped, goes on in {@code to} if that is its
   * successor.
   */
  public synchronized void redirect(TranslatedBlock old, TranslatedBlock to) {
    if (old.number >= blocks.size() || blocks.get(old.number) != old) {
      // All was thrown away meanwhile: other code may stand where it was.
      return;
    }
    if (!old.valid
        && to.valid
        && old.physical == to.physical
        && old.secondPage == to.secondPage
        && old.mode == to.mode) {
      jumpFromEntry(old, to.entry);
    }
  }

  /**
   * Makes a block's entry a jump. Its first instruction is longer than one; it is replaced at once.
   */
  private void jumpFromEntry(TranslatedBlock block, long target) {
    long at = writable(block.entry);
    long by = target - (block.entry + 5);
    RawMemory.putLong(
        at, RawMemory.getLong(at) & 0xffff_ff00_0000_0000L | (by & 0xffff_ffffL) << 8 | 0xe9);
  }

  /** Code that goes to offset {@code target} of the present page through the jump cache. */
  private long farJump(int target, int mode) {
    BlockWriter w = blockWriter;
    w.start(mode, 0, memory.address() + used);
    w.addressToV(target);
    stubs.jumpCacheLookUp(w.a);
    long at = memory.put(used, w.a.bytes());
    used += w.a.size() + 15 & ~15;
    return at;
  }

  /** Code that leads to {@code block} while the second page of its instruction is in its place. */
  private long straddleEntry(int offset, long secondAt, int mode, long block) {
    var a = new dev.bothy.assemble.Assembler();
    a.start(memory.address() + used);
    JumpCache.writeStraddle(
        a, mode, offset, secondAt, stubs.fetchPage, block, stubs.leave[Leave.JUMP]);
    long at = memory.put(used, a.bytes());
    used += a.size() + 15 & ~15;
    return at;
  }

  private long writable(long executable) {
    return memory.writable().address() + (executable - memory.address());
  }

  /** Drops the blocks that overlap {@code length} bytes at {@code physical}, all on one page. */
  public synchronized void drop(long physical, long length, CodePages pages) {
    List<TranslatedBlock> page = byPage.get(physical & ~0xfffL);
    if (page == null) {
      return;
    }
    List<TranslatedBlock> overlapped = new ArrayList<>();
    for (TranslatedBlock block : page) {
      if (block.overlaps(physical, length)) {
        overlapped.add(block);
      }
    }
    for (TranslatedBlock block : overlapped) {
      invalidate(block);
      forget(block, block.physical & ~0xfffL, pages);
      if (block.secondPage >= 0) {
        forget(block, block.secondPage, pages);
      }
    }
  }

  private void forget(TranslatedBlock block, long page, CodePages pages) {
    List<TranslatedBlock> blocks = byPage.get(page);
    if (blocks != null && blocks.remove(block) && blocks.isEmpty()) {
      byPage.remove(page);
      pages.unmarkTranslated(page);
    }
  }

  private void invalidate(TranslatedBlock block) {
    block.valid = false;
    jumpFromEntry(block, block.stale);
    statistics.dropped++;
  }

  /** Forgets everything. No vCPU may be inside the code, nor return there. */
  public synchronized void clear(CodePages pages) {
    for (long page : byPage.keySet()) {
      pages.unmarkTranslated(page);
    }
    for (TranslatedBlock block : blocks) {
      block.valid = false;
    }
    blocks.clear();
    byPage.clear();
    index.clear();
    used = STUBS_SIZE;
    statistics.cleared++;
    listeners.forEach(BlockListener::cleared);
  }

  /** True if code counts {@link Event}s. */
  public boolean counts() {
    return counts;
  }

  /** Named counters. */
  public synchronized Map<String, Long> counters() {
    return statistics.byName();
  }

  @Override
  public void close() {
    listeners.forEach(BlockListener::closed);
    if (stored != null) {
      stored.save();
      stored.close();
    }
    memory.close();
    index.close();
  }
}
