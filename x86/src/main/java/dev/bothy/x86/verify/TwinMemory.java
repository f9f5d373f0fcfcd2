package dev.bothy.x86.verify;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.WriteObserver;
import dev.bothy.x86.interpret.StoreObserver;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;
import java.util.function.LongConsumer;

/**
 * The machine's RAM and its twin, with what is needed to keep them alike: pages that the reference
 * may have written since the stretch began, with their content from before, and pages that devices
 * have written. {@link #written} comes from any thread, everything else from the vCPU's.
 */
final class TwinMemory implements StoreObserver, WriteObserver, AutoCloseable {
  static final int PAGE = 4096;

  /** Bytes compared at once. */
  private static final long PIECE = 1 << 20;

  final GuestMemory real;
  final GuestMemory twin;
  private final Tape reference;

  /** The vCPU's thread, while it runs. */
  private volatile Thread runner;

  /** Writes to the real RAM that are ours. */
  private boolean restoring;

  private long[] pages = new long[64];
  private int count;

  /** How many of {@link #pages} have their content in {@link #before}. */
  private int kept;

  private final BitSet noted = new BitSet();
  private byte[][] before = new byte[64][];

  private final BitSet foreign = new BitSet();
  private volatile boolean hasForeign;

  TwinMemory(GuestMemory real, GuestMemory twin, Tape reference) {
    this.real = real;
    this.twin = twin;
    this.reference = reference;
    real.observeWrites(this);
  }

  void setRunner(Thread thread) {
    runner = thread;
  }

  private long physicalOf(long offset) {
    long low = Math.min(real.size(), GuestMemory.LOW_LIMIT);
    return offset < low ? offset : offset - low + GuestMemory.HIGH_START;
  }

  // What was written.

  @Override
  public void mayBeWritten(long page) {
    int number = (int) (real.offsetOf(page) / PAGE);
    if (noted.get(number)) {
      return;
    }
    noted.set(number);
    if (count == pages.length) {
      pages = Arrays.copyOf(pages, 2 * count);
      before = Arrays.copyOf(before, 2 * count);
    }
    pages[count++] = page;
  }

  @Override
  public void written(long address, long length) {
    if (Thread.currentThread() == runner) {
      if (restoring) {
        return;
      }
      if (reference.running()) {
        if (reference.inDevice()) {
          Journal.Entry entry =
              reference.journal.add(Journal.Kind.DEVICE_WRITE, address, (int) length, 0);
          entry.data = new byte[(int) length];
          real.read(address, entry.data, 0, (int) length);
        }
        // Else the processor's own paravirtual clock.
        for (long page = address & -PAGE; page < address + length; page += PAGE) {
          mayBeWritten(page);
        }
        return;
      }
    }
    synchronized (foreign) {
      foreign.set(
          (int) (real.offsetOf(address) / PAGE),
          (int) (real.offsetOf(address + length - 1) / PAGE) + 1);
      hasForeign = true;
    }
  }

  int count() {
    return count;
  }

  long page(int index) {
    return pages[index];
  }

  /**
   * Keeps what the pages noted since the last time held before the stretch: the twin still has it.
   */
  void keepOld() {
    for (int i = kept; i < count; i++) {
      if (before[i] == null) {
        before[i] = new byte[PAGE];
      }
      twin.read(pages[i], before[i], 0, PAGE);
    }
    kept = count;
  }

  /** Forgets the noted pages; {@code each} hears of them. */
  void forget(LongConsumer each) {
    for (int i = 0; i < count; i++) {
      noted.clear((int) (real.offsetOf(pages[i]) / PAGE));
      each.accept(pages[i]);
    }
    count = 0;
    kept = 0;
  }

  /** Puts the real RAM back to before the stretch. */
  void restore() {
    restoring = true;
    try {
      for (int i = 0; i < count; i++) {
        write(real, pages[i], before[i]);
      }
    } finally {
      restoring = false;
    }
  }

  private static void write(GuestMemory memory, long page, byte[] content) {
    byte[] now = new byte[PAGE];
    memory.read(page, now, 0, PAGE);
    if (!Arrays.equals(now, content)) {
      memory.write(page, content);
    }
  }

  // Comparing.

  /** Copies what devices have written by themselves. */
  void takeForeign() {
    if (!hasForeign) {
      return;
    }
    synchronized (foreign) {
      hasForeign = false;
      foreign.stream().forEach(number -> copy(physicalOf((long) number * PAGE)));
      foreign.clear();
    }
  }

  private boolean isForeign(long page) {
    if (!hasForeign) {
      return false;
    }
    synchronized (foreign) {
      return foreign.get((int) (real.offsetOf(page) / PAGE));
    }
  }

  void copy(long page) {
    byte[] content = new byte[PAGE];
    real.read(page, content, 0, PAGE);
    write(twin, page, content);
  }

  /** Offset of the first byte that differs on {@code page}, or -1. */
  int difference(long page) {
    long offset = real.offsetOf(page);
    int at =
        (int)
            MemorySegment.mismatch(
                real.all(), offset, offset + PAGE, twin.all(), offset, offset + PAGE);
    return at >= 0 && isForeign(page) ? -1 : at;
  }

  /**
   * True if all that differs on {@code page} is the accessed bit of page-table entries: a processor
   * may find a translation in its TLB or walk again.
   */
  boolean differsInAccessedOnly(long page) {
    long offset = real.offsetOf(page);
    for (int at = 0; at < PAGE; at += 8) {
      long one = real.all().get(ValueLayout.JAVA_LONG, offset + at);
      long other = twin.all().get(ValueLayout.JAVA_LONG, offset + at);
      if ((one ^ other) != 0 && ((one ^ other) & ~ACCESSED_TWICE) != 0) {
        return false;
      }
      if (((one ^ other) & 0x20) != 0 && (one & 1) == 0
          || ((one ^ other) & 0x20L << 32) != 0 && (one & 1L << 32) == 0) {
        return false;
      }
    }
    return true;
  }

  /** True if words of eight bytes on {@code page} differ in {@code bits} at most. */
  boolean differsInBitsOnly(long page, long bits) {
    long offset = real.offsetOf(page);
    for (int at = 0; at < PAGE; at += 8) {
      long one = real.all().get(ValueLayout.JAVA_LONG, offset + at);
      long other = twin.all().get(ValueLayout.JAVA_LONG, offset + at);
      if (((one ^ other) & ~bits) != 0) {
        return false;
      }
    }
    return true;
  }

  /** Accessed bits of one entry of eight bytes or two of four. */
  private static final long ACCESSED_TWICE = 0x20_0000_0020L;

  /** Compares all of RAM; {@code each} hears of pages that differ. */
  void differences(LongConsumer each) {
    MemorySegment one = real.all();
    MemorySegment other = twin.all();
    for (long from = 0; from < real.size(); from += PIECE) {
      long to = Math.min(from + PIECE, real.size());
      long at = from;
      while (at < to) {
        long found = MemorySegment.mismatch(one, at, to, other, at, to);
        if (found < 0) {
          break;
        }
        long page = at + found & -PAGE;
        if (!isForeign(physicalOf(page))) {
          each.accept(physicalOf(page));
        }
        at = page + PAGE;
      }
    }
  }

  /** Makes the twin what the real RAM is. */
  void equalize() {
    takeForeign();
    differences(this::copy);
  }

  @Override
  public void close() {
    twin.close();
  }
}
