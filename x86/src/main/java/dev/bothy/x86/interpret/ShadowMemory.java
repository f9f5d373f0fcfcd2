package dev.bothy.x86.interpret;

import dev.bothy.host.RawMemory;

/**
 * Accesses to shadow stacks, as user code or as the supervisor: Intel SDM volume 3, section 4.6.
 * Each walks the page tables, past the TLB. Sizes are 4 and 8, addresses multiples of 4.
 */
final class ShadowMemory {
  private ShadowMemory() {}

  private static boolean crosses(long linear, int size) {
    return (linear & 0xfff) + size > 0x1000;
  }

  /** Zero-extended. */
  static long load(PagingCpu cpu, long linear, int size, boolean user) {
    if (crosses(linear, size)) {
      long low = load(cpu, linear, 4, user);
      return low | load(cpu, linear + 4, 4, user) << 32;
    }
    long physical = cpu.translateShadow(linear, false, user);
    if (cpu.watching) {
      cpu.watch(linear, size, false);
    }
    return cpu.readPhysical(physical, size);
  }

  /** Raises now whatever a store would. */
  static void probe(PagingCpu cpu, long linear, int size, boolean user) {
    cpu.translateShadow(linear, true, user);
    if (crosses(linear, size)) {
      cpu.translateShadow(linear + 4, true, user);
    }
  }

  static void store(PagingCpu cpu, long linear, int size, long value, boolean user) {
    if (crosses(linear, size)) {
      probe(cpu, linear, size, user);
      store(cpu, linear, 4, value & 0xffff_ffffL, user);
      store(cpu, linear + 4, 4, value >>> 32, user);
      return;
    }
    long physical = cpu.translateShadow(linear, true, user);
    note(cpu, linear, physical, size);
    cpu.writePhysical(physical, size, value);
  }

  private static void note(PagingCpu cpu, long linear, long physical, int size) {
    if (cpu.stores != null && cpu.hostOf(physical) != 0) {
      cpu.stores.mayBeWritten(physical & MemoryCpu.PAGE);
    }
    if (cpu.watching) {
      cpu.watch(linear, size, true);
    }
  }

  /**
   * Replaces {@code expected} by {@code value}, atomically, in the eight bytes at {@code linear}, a
   * multiple of 8; what was there.
   */
  static long exchange(PagingCpu cpu, long linear, long expected, long value, boolean user) {
    long physical = cpu.translateShadow(linear, true, user);
    note(cpu, linear, physical, 8);
    long host = cpu.hostOf(physical);
    if (host == 0 || cpu.transaction != null || cpu.isApicPage(physical)) {
      long found = cpu.readPhysical(physical, 8);
      if (found == expected) {
        cpu.writePhysical(physical, 8, value);
      }
      return found;
    }
    long found = RawMemory.compareAndExchangeLong(host, expected, value);
    if (found == expected && cpu.codeMap.hasCode(physical)) {
      cpu.codeMap.stored(cpu, physical, 8);
    }
    return found;
  }
}
