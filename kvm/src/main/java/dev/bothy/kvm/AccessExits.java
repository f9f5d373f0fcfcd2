package dev.bothy.kvm;

import static dev.bothy.host.RawMemory.getByte;
import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.host.RawMemory.putShort;
import static dev.bothy.kvm.KvmHeader.*;

import dev.bothy.core.Engine;
import dev.bothy.core.LocalInterruptController;
import java.util.function.LongConsumer;

/**
 * What a guest asks of devices, where KVM comes out for it: by the page that it shares with a vCPU,
 * they are asked and answer. For the vCPU's thread.
 */
final class AccessExits {
  private final long run;
  private final LocalInterruptController apic;
  private final Engine.Environment machine;
  private final LongConsumer written;

  /**
   * @param run host address of the page
   * @param written is told of addresses, other than the APIC's, where a device has been written
   */
  AccessExits(
      long run, LocalInterruptController apic, Engine.Environment machine, LongConsumer written) {
    this.run = run;
    this.apic = apic;
    this.machine = machine;
    this.written = written;
  }

  /** KVM_EXIT_IO. */
  void port() {
    int size = getByte(run + KvmRun.Io.SIZE);
    int port = getShort(run + KvmRun.Io.PORT) & 0xffff;
    int count = getInt(run + KvmRun.Io.COUNT);
    long at = run + getLong(run + KvmRun.Io.DATA_OFFSET);
    boolean out = getByte(run + KvmRun.Io.DIRECTION) == KVM_EXIT_IO_OUT;
    for (int i = 0; i < count; i++, at += size) {
      if (out) {
        machine.ports().write(port, size, load(at, size));
      } else {
        store(at, size, machine.ports().read(port, size));
      }
    }
  }

  /**
   * KVM_EXIT_MMIO.
   *
   * @return whether the APIC's registers were written
   */
  boolean memory() {
    long address = getLong(run + KvmRun.Mmio.PHYS_ADDR);
    int length = getInt(run + KvmRun.Mmio.LEN);
    boolean write = getByte(run + KvmRun.Mmio.IS_WRITE) != 0;
    long at = run + KvmRun.Mmio.DATA;
    // What crosses a page comes in two pieces, of any length.
    int size = Integer.bitCount(length) == 1 ? length : 1;
    boolean apicWritten = false;
    for (int i = 0; i < length; i += size) {
      if (write) {
        apicWritten |= writeMemory(address + i, size, load(at + i, size));
      } else {
        store(at + i, size, readMemory(address + i, size));
      }
    }
    return apicWritten;
  }

  private long readMemory(long address, int size) {
    long offset = apicOffset(address);
    return offset >= 0 ? apic.read(offset, size) : machine.mmio().read(address, size);
  }

  /** True if it was the APIC's. */
  private boolean writeMemory(long address, int size, long value) {
    long offset = apicOffset(address);
    if (offset >= 0) {
      apic.write(offset, size, value);
    } else {
      machine.mmio().write(address, size, value);
      written.accept(address);
    }
    return offset >= 0;
  }

  /** Where in the APIC's register page an address lies, or -1. */
  private long apicOffset(long address) {
    long base = apic.baseAddress();
    return base >= 0 && (address & -4096) == base ? address & 4095 : -1;
  }

  private static long load(long at, int size) {
    return switch (size) {
      case 1 -> getByte(at) & 0xffL;
      case 2 -> getShort(at) & 0xffffL;
      case 4 -> getInt(at) & 0xffff_ffffL;
      default -> getLong(at);
    };
  }

  private static void store(long at, int size, long value) {
    switch (size) {
      case 1 -> putByte(at, (byte) value);
      case 2 -> putShort(at, (short) value);
      case 4 -> putInt(at, (int) value);
      default -> putLong(at, value);
    }
  }
}
