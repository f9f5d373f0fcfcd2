package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.GuestMemory;
import dev.bothy.core.MachineClock;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;

/**
 * KVM's paravirtual clock: a page in guest RAM from which the guest computes time out of its TSC.
 * The TSC and guest time run at the same rate here, so what is written once stays right until the
 * TSC is moved.
 */
final class ParavirtualClock {
  /** The TSC is stable: readings of different vCPUs may be compared. */
  private static final int TSC_STABLE = 1;

  private ParavirtualClock() {}

  /** Fills the vCPU's time info (32 bytes) at {@code msr}'s address if its enable bit is set. */
  static void systemTime(Processor cpu, long msr) {
    if ((msr & 1) == 0) {
      return;
    }
    long at = msr & ~1L;
    GuestMemory memory = cpu.memory;
    long now = cpu.machine.clock().nanos();
    // Not as a guest of the guest's sees it.
    long tsc =
        now + getLong(cpu.state + CpuState.TSC_OFFSET) - getLong(cpu.state + SvmState.TSC_OFFSET);
    int version = memory.readInt(at) | 1;
    memory.writeInt(at, version);
    memory.writeLong(at + 8, tsc);
    memory.writeLong(at + 16, now);
    // nanoseconds = ((tsc - then) << shift) * multiplier >> 32, with a TSC of 1 GHz.
    memory.writeInt(at + 24, 0x8000_0000);
    memory.writeByte(at + 28, 1);
    memory.writeByte(at + 29, TSC_STABLE);
    memory.writeInt(at, version + 1);
  }

  /**
   * Writes the wall-clock time at which guest time was zero (12 bytes) to {@code at}; 0 is nowhere.
   */
  static void wallClock(Processor cpu, long at) {
    if (at == 0) {
      return;
    }
    GuestMemory memory = cpu.memory;
    MachineClock clock = cpu.machine.clock();
    long zero = clock.wallNanos() - clock.nanos();
    int version = memory.readInt(at) | 1;
    memory.writeInt(at, version);
    memory.writeInt(at + 4, (int) (zero / 1_000_000_000L));
    memory.writeInt(at + 8, (int) (zero % 1_000_000_000L));
    memory.writeInt(at, version + 1);
  }
}
