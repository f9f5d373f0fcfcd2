package dev.bothy.kvm;

import static dev.bothy.kvm.KvmHeader.*;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.bothy.core.ApicState;
import dev.bothy.core.EngineApic;
import dev.bothy.core.cpu.CpuState;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The local APIC that the kernel has for a vCPU, and what the vCPU waits for, which the kernel then
 * knows, too. {@link #read} and {@link #write} are for a vCPU that does not run; the rest is for
 * its thread.
 */
final class KernelApic implements EngineApic, AutoCloseable {
  // Registers by number.
  private static final int IN_SERVICE = 0x10;
  private static final int REQUESTS = 0x20;
  private static final int LVT_LINT1 = 0x36;
  private static final int INITIAL_COUNT = 0x38;
  private static final int CURRENT_COUNT = 0x39;

  private static final int LVT_MASKED = 1 << 16;
  private static final int LVT_MODE = 7 << 8;
  private static final int LVT_NMI = 4 << 8;
  private static final long BASE_ENABLED = 1 << 11;

  private final KvmVcpu owner;
  private final int vcpu;
  private final GuestTsc tsc;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment page = arena.allocate(KvmLapicState.SIZE, 8);
  private final MemorySegment mpState = arena.allocate(KvmMpState.SIZE, 4);

  /** What the timer is to be set to when the time-stamp counter is right: see {@link #align}. */
  private long deadline;

  private boolean deadlineWaits;

  /** {@link GuestTsc#changes} when the timer was set. */
  private int tscChanges;

  /** The timer's count when the vCPU came to a stand: it goes on in the kernel, guest time not. */
  private int countAtRest;

  private boolean rests;

  KernelApic(KvmVcpu owner, int vcpu, GuestTsc tsc) {
    this.owner = owner;
    this.vcpu = vcpu;
    this.tsc = tsc;
  }

  @Override
  public ApicState read() {
    // An interrupt on its way is in service already; and INIT would change everything.
    int onItsWay = owner.interruptOnItsWay();
    int[] registers = registers();
    if (onItsWay >= 0) {
      registers[IN_SERVICE + onItsWay / 32] &= ~(1 << onItsWay);
      registers[REQUESTS + onItsWay / 32] |= 1 << onItsWay;
    }
    if (rests) {
      registers[CURRENT_COUNT] = countAtRest;
    }
    return new ApicState(MsrList.read(vcpu, MsrList.APIC_BASE), registers, deadline());
  }

  private int[] registers() {
    request("KVM_GET_LAPIC", KVM_GET_LAPIC, page);
    int[] registers = new int[ApicState.REGISTERS];
    for (int i = 0; i < registers.length; i++) {
      registers[i] = page.get(JAVA_INT, 16L * i);
    }
    return registers;
  }

  private long deadline() {
    if (deadlineWaits) {
      return deadline;
    }
    long ticks = MsrList.read(vcpu, MsrList.TSC_DEADLINE);
    // 0 means none, and only that.
    return ticks == 0 ? 0 : Math.max(1, tsc.toNanos(ticks));
  }

  @Override
  public void write(ApicState state) {
    // A start-up message that is still to be taken was for the state before.
    request("KVM_GET_MP_STATE", KVM_GET_MP_STATE, mpState);
    MsrList.write(vcpu, MsrList.APIC_BASE, state.base());
    page.fill((byte) 0);
    for (int i = 0; i < ApicState.REGISTERS; i++) {
      page.set(JAVA_INT, 16L * i, state.registers()[i]);
    }
    request("KVM_SET_LAPIC", KVM_SET_LAPIC, page);
    if (state.registers()[INITIAL_COUNT] != 0) {
      // The first time, a new mode of the timer may have cleared its counts.
      request("KVM_SET_LAPIC", KVM_SET_LAPIC, page);
    }
    MsrList.write(vcpu, MsrList.TSC_DEADLINE, 0);
    deadline = state.deadline();
    deadlineWaits = deadline != 0;
    rests = false;
  }

  /**
   * Sets the timer if it has not been set, or if the time-stamp counter has been: the vCPU is about
   * to run.
   */
  void align() {
    rests = false;
    if (deadlineWaits) {
      deadlineWaits = false;
      tscChanges = tsc.changes();
      MsrList.write(vcpu, MsrList.TSC_DEADLINE, Math.max(1, tsc.toTicks(deadline)));
    } else if (tscChanges != tsc.changes()) {
      tscChanges = tsc.changes();
      long ticks = MsrList.read(vcpu, MsrList.TSC_DEADLINE);
      if (ticks != 0) {
        MsrList.write(vcpu, MsrList.TSC_DEADLINE, ticks);
      }
    }
  }

  /** The vCPU has come to a stand, and guest time may, too: notes what goes with it. */
  void rest() {
    tsc.sample();
    request("KVM_GET_LAPIC", KVM_GET_LAPIC, page);
    countAtRest = page.get(JAVA_INT, 16L * CURRENT_COUNT);
    rests = true;
  }

  /** What the vCPU waits for: one of CpuState's activities. Takes INIT and start-up messages. */
  int activity() {
    request("KVM_GET_MP_STATE", KVM_GET_MP_STATE, mpState);
    return switch (mpState.get(JAVA_INT, KvmMpState.MP_STATE)) {
      case KVM_MP_STATE_HALTED -> CpuState.ACTIVITY_HALTED;
      case KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_SIPI_RECEIVED ->
          CpuState.ACTIVITY_WAIT_STARTUP;
      default -> CpuState.ACTIVITY_RUNNING;
    };
  }

  void setActivity(int activity) {
    int state =
        switch (activity) {
          case CpuState.ACTIVITY_HALTED -> KVM_MP_STATE_HALTED;
          case CpuState.ACTIVITY_WAIT_STARTUP -> KVM_MP_STATE_INIT_RECEIVED;
          default -> KVM_MP_STATE_RUNNABLE;
        };
    mpState.set(JAVA_INT, KvmMpState.MP_STATE, state);
    request("KVM_SET_MP_STATE", KVM_SET_MP_STATE, mpState);
  }

  /** True if an edge at LINT1 is an NMI. */
  boolean passesNmi() {
    int entry = registers()[LVT_LINT1];
    return (MsrList.read(vcpu, MsrList.APIC_BASE) & BASE_ENABLED) == 0
        || (entry & (LVT_MASKED | LVT_MODE)) == LVT_NMI;
  }

  private void request(String name, long request, MemorySegment argument) {
    KvmRequest.require(vcpu, name, request, argument.address());
  }

  @Override
  public void close() {
    arena.close();
  }
}
