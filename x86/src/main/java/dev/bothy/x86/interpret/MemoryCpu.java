package dev.bothy.x86.interpret;

import dev.bothy.core.AddressSpace;
import dev.bothy.core.Engine;
import dev.bothy.core.GuestMemory;
import dev.bothy.core.LocalInterruptController;
import dev.bothy.host.RawMemory;

/** The processor's view of physical memory: RAM by host address, its APIC, the bus. */
abstract class MemoryCpu extends Cpu {
  static final long PAGE = ~0xfffL;

  final GuestMemory memory;
  final long lowHost;
  final long lowSize;
  final long highHost;
  final long highSize;
  final AddressSpace mmio;

  /** Of physical addresses. */
  final int physicalBits;

  final LocalInterruptController apic;
  final CodeMap codeMap;

  /** Hears of pages that stores may reach, or null. */
  StoreObserver stores;

  /** The one under way, which stores are told to and which ends at what is not RAM; or null. */
  Transaction transaction;

  MemoryCpu(
      long state, Engine.Environment machine, LocalInterruptController apic, CodeMap codeMap) {
    super(state);
    memory = machine.memory();
    mmio = machine.mmio();
    physicalBits = machine.model().physicalBits();
    this.apic = apic;
    this.codeMap = codeMap;
    var regions = memory.regions();
    lowHost = regions.get(0).hostAddress();
    lowSize = regions.get(0).length();
    highHost = regions.size() > 1 ? regions.get(1).hostAddress() : 0;
    highSize = regions.size() > 1 ? regions.get(1).length() : 0;
  }

  /** Aborts the transaction under way, if there is one: no transaction has what comes. */
  final void refuseInTransaction() {
    if (transaction != null) {
      throw transaction.abort();
    }
  }

  /** Host address of RAM at {@code physical}, or 0 if that is not RAM. */
  final long hostOf(long physical) {
    if (Long.compareUnsigned(physical, lowSize) < 0) {
      return lowHost + physical;
    }
    long high = physical - GuestMemory.HIGH_START;
    return Long.compareUnsigned(high, highSize) < 0 ? highHost + high : 0;
  }

  /** Guest-physical address of a host address inside RAM. */
  final long physicalOfHost(long host) {
    long low = host - lowHost;
    return low >= 0 && low < lowSize ? low : host - highHost + GuestMemory.HIGH_START;
  }

  final boolean isApicPage(long physical) {
    long base = apic.baseAddress();
    return base >= 0 && (physical & PAGE) == base;
  }

  final long readPhysical(long physical, int size) {
    long host = hostOf(physical);
    if (transaction != null && (host == 0 || isApicPage(physical))) {
      throw transaction.abort();
    }
    if (isApicPage(physical)) {
      return apic.read(physical & 0xfff, size);
    }
    if (host != 0) {
      return switch (size) {
        case 1 -> RawMemory.loadByte(host) & 0xff;
        case 2 -> RawMemory.loadShort(host) & 0xffff;
        case 4 -> RawMemory.loadInt(host) & 0xffff_ffffL;
        default -> RawMemory.loadLong(host);
      };
    }
    return mmio.read(physical, size);
  }

  final void writePhysical(long physical, int size, long value) {
    long host = hostOf(physical);
    if (transaction != null) {
      transaction.store(physical, isApicPage(physical) ? 0 : host, size, value);
    }
    if (isApicPage(physical)) {
      apic.write(physical & 0xfff, size, value);
      return;
    }
    if (host == 0) {
      mmio.write(physical, size, value);
      return;
    }
    switch (size) {
      case 1 -> RawMemory.storeByte(host, (byte) value);
      case 2 -> RawMemory.storeShort(host, (short) value);
      case 4 -> RawMemory.storeInt(host, (int) value);
      default -> RawMemory.storeLong(host, value);
    }
    if (codeMap.hasCode(physical)) {
      codeMap.stored(this, physical, size);
    }
  }

  /**
   * Host address of the page of RAM at {@code physical}, which the processor itself is about to
   * write to; 0 if there is none. {@link #pageWritten} follows.
   */
  final long pageToWrite(long physical) {
    long host = hostOf(physical);
    if (host != 0 && stores != null) {
      stores.mayBeWritten(physical);
    }
    return host;
  }

  final void pageWritten(long physical) {
    if (codeMap.hasCode(physical)) {
      codeMap.stored(this, physical, 4096);
    }
  }

  /**
   * Drops decoded code that overlaps {@code length} bytes at {@code physical}; on this vCPU's
   * thread.
   */
  abstract void dropCode(long physical, long length);

  /** The same, from another thread: done before this vCPU runs guest code again. */
  abstract void postDropCode(long physical, long length);
}
