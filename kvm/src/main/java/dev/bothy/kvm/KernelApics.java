package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.bothy.core.EngineApics;
import dev.bothy.host.DeviceCalls;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The local APICs of a machine in the kernel, with PIC, I/O APIC and timers left to the machine
 * (KVM_CAP_SPLIT_IRQCHIP). Messages go by KVM_SIGNAL_MSI; the kernel is told by routes which
 * interrupts the I/O APIC waits for the end of. Thread-safe.
 */
final class KernelApics implements EngineApics {
  /** Pins of the I/O APIC, for which the kernel is to keep numbers free. */
  private static final int PINS = 24;

  private final int machine;
  private final boolean[] watched = new boolean[PINS];
  private final long[] addresses = new long[PINS];
  private final int[] data = new int[PINS];

  /** Whether a KVM says that it can do this. */
  static boolean offered(KvmDevice device) {
    return device.extension(KVM_CAP_SPLIT_IRQCHIP) != 0
        && device.extension(KVM_CAP_SIGNAL_MSI) != 0
        && device.extension(KVM_CAP_IRQ_ROUTING) >= PINS
        && device.extension(KVM_CAP_TSC_DEADLINE_TIMER) != 0;
  }

  /**
   * Makes {@code machine}, which has no vCPU yet, one with local APICs.
   *
   * @throws KvmException if it cannot be
   */
  KernelApics(int machine) {
    this.machine = machine;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment enable = arena.allocate(KvmEnableCap.SIZE, 8);
      enable.set(JAVA_INT, KvmEnableCap.CAP, KVM_CAP_SPLIT_IRQCHIP);
      enable.set(JAVA_INT, KvmEnableCap.ARGS, PINS);
      KvmRequest.require(machine, "KVM_CAP_SPLIT_IRQCHIP", KVM_ENABLE_CAP, enable.address());
    }
  }

  @Override
  public boolean deliver(long address, int message) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment msi = arena.allocate(KvmMsi.SIZE, 8);
      msi.set(JAVA_INT, KvmMsi.ADDRESS_LO, (int) address);
      msi.set(JAVA_INT, KvmMsi.ADDRESS_HI, (int) (address >>> 32));
      msi.set(JAVA_INT, KvmMsi.DATA, message);
      // Whatever is wrong with it, it is the guest's message: nobody takes it then.
      return DeviceCalls.ioctl(machine, KVM_SIGNAL_MSI, msi.address()) > 0;
    }
  }

  @Override
  public synchronized void watchPin(int pin, long address, int message) {
    if (!watched[pin] || addresses[pin] != address || data[pin] != message) {
      watched[pin] = true;
      addresses[pin] = address;
      data[pin] = message;
      route();
    }
  }

  @Override
  public synchronized void forgetPin(int pin) {
    if (watched[pin]) {
      watched[pin] = false;
      route();
    }
  }

  private void route() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment routes = arena.allocate(KvmIrqRouting.SIZE + PINS * KvmIrqRoutingEntry.SIZE, 8);
      int count = 0;
      for (int pin = 0; pin < PINS; pin++) {
        if (watched[pin]) {
          MemorySegment entry =
              routes.asSlice(
                  KvmIrqRouting.ENTRIES + (long) count++ * KvmIrqRoutingEntry.SIZE,
                  KvmIrqRoutingEntry.SIZE);
          entry.set(JAVA_INT, KvmIrqRoutingEntry.GSI, pin);
          entry.set(JAVA_INT, KvmIrqRoutingEntry.TYPE, KVM_IRQ_ROUTING_MSI);
          int at = KvmIrqRoutingEntry.U;
          entry.set(JAVA_INT, at + KvmIrqRoutingMsi.ADDRESS_LO, (int) addresses[pin]);
          entry.set(JAVA_INT, at + KvmIrqRoutingMsi.ADDRESS_HI, (int) (addresses[pin] >>> 32));
          entry.set(JAVA_INT, at + KvmIrqRoutingMsi.DATA, data[pin]);
        }
      }
      routes.set(JAVA_INT, KvmIrqRouting.NR, count);
      KvmRequest.require(machine, "KVM_SET_GSI_ROUTING", KVM_SET_GSI_ROUTING, routes.address());
    }
  }
}
