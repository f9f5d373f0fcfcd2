package dev.bothy.x86.translate;

import dev.bothy.core.cpu.CpuModel;
import dev.bothy.host.ExecutableMemory;
import dev.bothy.host.NativeFunction;
import dev.bothy.host.RawMemory;
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

    /** True if the instruction at {@code physical} is to be the interpreter's, for a debugger. */
    default boolean mayStopAt(long physical) {
      return false;
    }

    /** True if one on the page of {@code physical} is. */
    default boolean mayStopOn(long physical) {
      return false;
    }
  }

  private static final int STUBS_SIZE = 24 << 10;

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
    stubs = new Stubs(assembler, model, clock.address());
    if (assembler.size() > STUBS_SIZE) {
      throw new IllegalStateException("stubs of " + assembler.size() + " bytes");
    }
    memory.put(0, assembler.bytes());
    for (BlockListener listener : listeners) {
      listener.shared(StubNames.of(stubs), assembler.here());
    }
    enter = MemorySegment.ofAddress(stubs.enter);
    used = STUBS_SIZE;
    composer = new BlockComposer(model, options, stubs, counts, memory.address());
    linker = new BlockWriter(stubs, counts, null);
    long stubsEnd = assembler.here();
    stored = folder.flatMap(f -> store(f, stubsEnd)).orElse(null);
  }

  private Optional<StoredTranslations> store(Path folder, long stubsEnd) {
    List<Long> places = new ArrayList<>(List.of(stubsEnd - memory.address()));
    StubNames.of(stubs).keySet().forEach(address -> places.add(address - memory.address()));
    return TranslationKey.of(model, options, counts, places)
        .map(key -> new StoredTranslations(folder, key, StoredTranslations.USUAL_SIZE));
  }

  /** Who uses it holds its lock, and may ask for this translator's. */
  private final BlockComposer composer;

  /** For the code of chains, under this translator's lock. */
  private final BlockWriter linker;

  /** Whoever overwrites pages all the time has them interpreted. */
  private static final int MOST_TRIES = 3;

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
  public TranslatedBlock translate(
      long physical,
      long linear,
      long pageAt,
      long secondPage,
      long secondAt,
      int mode,
      CodePages pages) {
    synchronized (composer) {
      for (int i = 0; i < MOST_TRIES; i++) {
        synchronized (this) {
          TranslatedBlock known = find(physical, secondPage, mode);
          if (known != null) {
            return known;
          }
          // Before the bytes are read.
          if (!mark(physical, secondPage, pages)) {
            return null;
          }
          TranslatedBlock kept = secondPage < 0 ? load(physical, pageAt, mode, pages) : null;
          if (kept != null) {
            return kept;
          }
          composer.begin(physical & ~0xfffL, secondPage);
        }
        // Without the lock: vCPUs ask for it whenever they leave generated code.
        long start = System.nanoTime();
        boolean some = composer.compose(pageAt, secondAt, physical, mode, pages);
        synchronized (this) {
          boolean sound = composer.end();
          TranslatedBlock block = null;
          if (some && sound && !full()) {
            block = publish(physical, secondPage, secondAt, mode);
            index.put(pageAt + (physical & 0xfff), mode, block.farEntry);
          } else {
            unmarkIfEmpty(physical, pages);
            unmarkIfEmpty(secondPage, pages);
          }
          statistics.measure(block, System.nanoTime() - start);
          if (block != null && !listeners.isEmpty()) {
            tell(block, linear);
          }
          if (block != null || sound) {
            return block;
          }
        }
      }
      return null;
    }
  }

  /** Marks the pages of a block to be; false if one of them has lost its mark for code. */
  private boolean mark(long physical, long secondPage, CodePages pages) {
    if (!pages.markTranslated(physical)) {
      return false;
    }
    if (secondPage >= 0 && !pages.markTranslated(secondPage)) {
      unmarkIfEmpty(physical, pages);
      return false;
    }
    return true;
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
    TranslatedBlock block = load(physical, pageAt, mode, pages);
    if (block == null) {
      unmarkIfEmpty(physical, pages);
    }
    return block;
  }

  /**
   * The block at {@code physical}, on a marked page, as an earlier machine has made it; or null.
   */
  private TranslatedBlock load(long physical, long pageAt, int mode, CodePages pages) {
    StoredBlock record =
        stored == null || pages.mayStopOn(physical)
            ? null
            : stored.find(mode, pageAt, (int) physical & 0xfff);
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
    byte[] code = Arrays.copyOf(composer.code(), composer.length());
    long address = block.entry - composer.entry();
    var translation =
        new BlockListener.Translation(block, linear, composer.page().clone(), address, code);
    listeners.forEach(listener -> listener.translated(translation));
  }

  private void unmarkIfEmpty(long physical, CodePages pages) {
    long page = physical & ~0xfffL;
    if (physical >= 0 && !composer.reads(page) && !byPage.containsKey(page)) {
      pages.unmarkTranslated(page);
    }
  }

  /** Gives the block that was composed its place and number. */
  private TranslatedBlock publish(long physical, long secondPage, long secondAt, int mode) {
    int number = blocks.size();
    int place = (int) used;
    composer.relocate(number, place);
    put(composer.code(), 0, composer.length());
    long far = memory.address() + place + composer.farEntry();
    if (secondPage >= 0) {
      far = straddleEntry((int) physical & 0xfff, secondAt, mode, far);
    }
    TranslatedBlock block = composer.block(number, place, physical, secondPage, mode, far);
    enter(block);
    if (stored != null && secondPage < 0) {
      composer.keep(stored, block, place);
    }
    statistics.translated++;
    statistics.guestInstructions += block.count();
    statistics.guestBytes += block.to - block.from;
    statistics.hostBytes += composer.length();
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
    BlockWriter w = linker;
    w.start(mode, memory.address() + used);
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
    composer.overwritten(physical & ~0xfffL);
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
      unmarkIfEmpty(page, pages);
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
    composer.overwritten();
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
