package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.bothy.core.DirtyLog;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.PageSet;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * What vCPUs of KVM write, from the kernel's log of each memory slot (KVM_MEM_LOG_DIRTY_PAGES,
 * KVM_GET_DIRTY_LOG). Slot n is region n of RAM. Costs nothing while it is off.
 */
final class KvmDirtyPages implements DirtyLog {
  private final KvmEngine engine;
  private final List<GuestMemory.Region> regions;

  KvmDirtyPages(KvmEngine engine, List<GuestMemory.Region> regions) {
    this.engine = engine;
    this.regions = regions;
  }

  @Override
  public void begin() {
    setFlags(0);
    setFlags(KVM_MEM_LOG_DIRTY_PAGES);
  }

  @Override
  public void end() {
    setFlags(0);
  }

  private void setFlags(int flags) {
    for (int slot = 0; slot < regions.size(); slot++) {
      engine.setMemory(slot, flags, regions.get(slot));
    }
  }

  @Override
  public void collect(PageSet pages) {
    long before = 0;
    for (int slot = 0; slot < regions.size(); slot++) {
      long count = regions.get(slot).length() / PageSet.PAGE;
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment bitmap = arena.allocate((count + 63) / 64 * 8, 8);
        MemorySegment log = arena.allocate(KvmDirtyLog.SIZE, 8);
        log.set(JAVA_INT, KvmDirtyLog.SLOT, slot);
        log.set(ADDRESS, KvmDirtyLog.DIRTY_BITMAP, bitmap);
        engine.request("KVM_GET_DIRTY_LOG", KVM_GET_DIRTY_LOG, log.address());
        add(bitmap, before, pages);
      }
      before += count;
    }
  }

  /** Regions need not begin at a multiple of 64 pages. */
  private static void add(MemorySegment bitmap, long before, PageSet pages) {
    boolean aligned = before % 64 == 0;
    for (long i = 0; i < bitmap.byteSize() / 8; i++) {
      long bits = bitmap.get(JAVA_LONG, 8 * i);
      if (aligned) {
        pages.addBits((int) (before / 64 + i), bits);
      } else {
        for (; bits != 0; bits &= bits - 1) {
          pages.add(before + 64 * i + Long.numberOfTrailingZeros(bits), 0);
        }
      }
    }
  }
}
