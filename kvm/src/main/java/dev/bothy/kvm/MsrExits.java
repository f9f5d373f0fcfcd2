package dev.bothy.kvm;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putByte;
import static dev.bothy.host.RawMemory.putLong;
import static dev.bothy.kvm.KvmHeader.*;

import dev.bothy.core.LocalInterruptController;
import dev.bothy.core.cpu.CpuState;
import java.util.OptionalLong;

/**
 * RDMSR and WRMSR that KVM leaves to us: registers of the local APIC, the time-stamp counter, and
 * those it does not know, which raise #GP.
 */
final class MsrExits {
  private final long run;
  private final LocalInterruptController apic;
  private final CpuState state;
  private final GuestTsc tsc;

  /** What the guest has written to its deadline register, in ticks, and what the APIC was told. */
  private long deadlineTicks;

  private long deadlineNanos;

  /**
   * @param run address of the vCPU's {@link KvmRun}
   */
  MsrExits(long run, LocalInterruptController apic, CpuState state, GuestTsc tsc) {
    this.run = run;
    this.apic = apic;
    this.state = state;
    this.tsc = tsc;
  }

  /** Answers RDMSR. */
  void read() {
    OptionalLong value = read(getInt(run + KvmRun.Msr.INDEX));
    putByte(run + KvmRun.Msr.ERROR, (byte) (value.isPresent() ? 0 : 1));
    putLong(run + KvmRun.Msr.DATA, value.orElse(0));
  }

  private OptionalLong read(int index) {
    return switch (index) {
      case MsrList.APIC_BASE -> OptionalLong.of(apic.apicBase());
      case MsrList.TSC -> OptionalLong.of(tsc.read());
      case MsrList.TSC_ADJUST -> OptionalLong.of(state.get(CpuState.TSC_ADJUST));
      case MsrList.TSC_DEADLINE -> readDeadline();
      default -> apic.ownsMsr(index) ? apic.readMsr(index) : OptionalLong.empty();
    };
  }

  private OptionalLong readDeadline() {
    OptionalLong nanos = apic.readMsr(MsrList.TSC_DEADLINE);
    if (nanos.isEmpty() || nanos.getAsLong() == 0) {
      return nanos;
    }
    return OptionalLong.of(
        nanos.getAsLong() == deadlineNanos ? deadlineTicks : tsc.toTicks(nanos.getAsLong()));
  }

  /** Answers WRMSR. */
  void write() {
    boolean done = write(getInt(run + KvmRun.Msr.INDEX), getLong(run + KvmRun.Msr.DATA));
    putByte(run + KvmRun.Msr.ERROR, (byte) (done ? 0 : 1));
  }

  private boolean write(int index, long value) {
    switch (index) {
      case MsrList.APIC_BASE -> {
        return apic.setApicBase(value);
      }
      case MsrList.TSC -> {
        long before = tsc.read();
        tsc.write(value);
        adjusted(value - before);
      }
      case MsrList.TSC_ADJUST -> {
        long ticks = value - state.get(CpuState.TSC_ADJUST);
        tsc.adjust(ticks);
        adjusted(ticks);
      }
      case MsrList.TSC_DEADLINE -> {
        deadlineTicks = value;
        // 0 means none, and only that.
        deadlineNanos = value == 0 ? 0 : Math.max(1, tsc.toNanos(value));
        return apic.writeMsr(index, deadlineNanos);
      }
      default -> {
        return apic.ownsMsr(index) && apic.writeMsr(index, value);
      }
    }
    return true;
  }

  private void adjusted(long ticks) {
    state.set(CpuState.TSC_ADJUST, state.get(CpuState.TSC_ADJUST) + ticks);
    apic.setTscOffset(state.get(CpuState.TSC_OFFSET));
  }
}
