package dev.bothy.x86.interpret;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.WriteObserver;
import dev.bothy.host.HostMemory;
import dev.bothy.host.RawMemory;
import dev.bothy.x86.translate.Translator;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;

/**
 * Which pages of RAM have decoded code, one bit a vCPU (modulo 31) and page, and one for machine
 * code made from it. Shared by the vCPUs of a machine. A vCPU that writes such a page, or a device
 * that does, comes here, and every vCPU with code there drops what was overwritten.
 */
final class CodeMap implements WriteObserver, Translator.CodePages, AutoCloseable {
  /** The bit of machine code, which the vCPUs share. */
  static final int TRANSLATIONS = 31;

  /** Stores to a page with code after which it is taken for data, the first time. */
  private static final int PATIENCE = 8;

  /** How often that number doubles at most. */
  private static final int MOST_DOUBLINGS = 10;

  private final GuestMemory memory;

  /** Four bytes of marks for each page, then four bytes for each that count stores. */
  private final HostMemory masks;

  private final long countsAfter;
  private final long start;
  private final Translator translator;
  private final List<MemoryCpu> cpus = new CopyOnWriteArrayList<>();

  /**
   * Threads of devices that are telling of what they have written: those that began in an even
   * {@link #phase}, and the others.
   */
  private final AtomicIntegerArray telling = new AtomicIntegerArray(2);

  private volatile int phase;

  /** How often devices have told of what they have written. */
  private final AtomicInteger told = new AtomicInteger();

  private volatile boolean deaf;

  /** A debugger's. */
  final Breakpoints breakpoints = new Breakpoints((self, physical) -> written(self, physical, 1));

  /**
   * @param translator what makes machine code, or null
   */
  CodeMap(GuestMemory memory, Translator translator) {
    this.translator = translator;
    this.memory = memory;
    countsAfter = (memory.size() >>> 12) * 4;
    masks = HostMemory.allocate(2 * countsAfter);
    start = masks.address();
    memory.observeWrites(this);
  }

  /** Host address of the marks: four bytes a page of RAM, not 0 where there is code. */
  long address() {
    return start;
  }

  void add(MemoryCpu cpu) {
    cpus.add(cpu);
  }

  /** No device's thread has to do with {@code cpu} any more when this returns. */
  void remove(MemoryCpu cpu) {
    cpus.remove(cpu);
    awaitTold();
  }

  /**
   * All that was being told is. Devices go on while an engine is closed that another one has
   * replaced: who begins after this is not waited for. One may have taken its phase long before it
   * is counted there; hence both.
   */
  private synchronized void awaitTold() {
    for (int i = 0; i < 2; i++) {
      int before = phase;
      phase = before ^ 1;
      while (telling.get(before) != 0) {
        Thread.yield();
      }
    }
  }

  private long maskAddress(long physical) {
    long offset = memory.offsetOf(physical);
    return offset < 0 ? 0 : start + (offset >>> 12) * 4;
  }

  /** True if any vCPU has code on the page of {@code physical}. */
  boolean hasCode(long physical) {
    long at = maskAddress(physical);
    return at != 0 && RawMemory.getIntAcquire(at) != 0;
  }

  /** Changes with each write by a device. */
  int deviceWrites() {
    return told.get();
  }

  /** Marks the page for vCPU {@code index} if it is marked for any already; false if it is not. */
  boolean markToo(long physical, int index) {
    long at = maskAddress(physical);
    if (at == 0) {
      return true;
    }
    for (; ; ) {
      int old = RawMemory.getIntAcquire(at);
      if (old == 0) {
        return false;
      }
      if (RawMemory.compareAndExchangeInt(at, old, old | 1 << index) == old) {
        return true;
      }
    }
  }

  /** Marks the page for vCPU {@code index}; true if it had no code of any vCPU before. */
  boolean mark(long physical, int index) {
    long at = maskAddress(physical);
    return at != 0 && RawMemory.getAndBitwiseOrInt(at, 1 << index) == 0;
  }

  void unmark(long physical, int index) {
    long at = maskAddress(physical);
    // Beyond 31 vCPUs a bit may be another's as well.
    if (at != 0 && (index == TRANSLATIONS || cpus.size() <= TRANSLATIONS)) {
      RawMemory.getAndBitwiseAndInt(at, ~(1 << index));
    }
  }

  /**
   * {@code self} has stored there: its own code goes at once, the others' before they run on. After
   * so many stores that the page looks like data, all its code goes with what was overwritten, and
   * the next stores are plain ones: code that is patched here and there, or is overwritten from end
   * to end since nobody wants it any more.
   */
  void stored(MemoryCpu self, long physical, long length) {
    if (isData(physical)) {
      written(self, physical & ~0xfffL, 4096);
    } else {
      written(self, physical, length);
    }
  }

  /**
   * Counts a store to a page with code; true if it is one too many. Where code and data share a
   * page, its code would have to be made anew each time, so that patience doubles. vCPUs that count
   * at the same time may lose a store or two, which changes nothing but the time that is taken.
   */
  private boolean isData(long physical) {
    long at = maskAddress(physical) + countsAfter;
    int word = RawMemory.getInt(at);
    int doublings = word >>> 16;
    int count = (word & 0xffff) + 1;
    if (count < PATIENCE << doublings) {
      RawMemory.putInt(at, doublings << 16 | count);
      return false;
    }
    RawMemory.putInt(at, Math.min(doublings + 1, MOST_DOUBLINGS) << 16);
    return true;
  }

  private void written(MemoryCpu self, long physical, long length) {
    if (translator != null) {
      translator.drop(physical, length, this);
    }
    for (MemoryCpu cpu : cpus) {
      if (cpu == self) {
        cpu.dropCode(physical, length);
      } else {
        cpu.postDropCode(physical, length);
      }
    }
  }

  @Override
  public boolean markTranslated(long physical) {
    return markToo(physical, TRANSLATIONS);
  }

  @Override
  public void unmarkTranslated(long physical) {
    unmark(physical, TRANSLATIONS);
  }

  @Override
  public boolean mayStopAt(long physical) {
    return breakpoints.mayStopAt(physical);
  }

  @Override
  public boolean mayStopOn(long physical) {
    return breakpoints.mayStopOn(physical);
  }

  @Override
  public void written(long address, long length) {
    told.getAndIncrement();
    int mine = phase;
    telling.getAndIncrement(mine);
    try {
      if (!deaf) {
        dropWritten(address, length);
      }
    } finally {
      telling.getAndDecrement(mine);
    }
  }

  private void dropWritten(long address, long length) {
    // Who marks a page reads it then: either the mark is seen here, or the new bytes there.
    VarHandle.fullFence();
    for (long page = address & ~0xfffL; page < address + length; page += 4096) {
      if (hasCode(page)) {
        long from = Math.max(page, address);
        long to = Math.min(page + 4096, address + length);
        written(null, from, to - from);
      }
    }
  }

  /** No device's thread is here any more when this returns, nor will one be. */
  @Override
  public void close() {
    memory.ignoreWrites(this);
    deaf = true;
    awaitTold();
    masks.close();
  }
}
