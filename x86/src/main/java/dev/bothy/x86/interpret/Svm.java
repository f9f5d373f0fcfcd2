package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;

/**
 * What a processor does about a guest of its guest's besides going to it and back ({@link
 * WorldSwitch}): AMD64 APM volume 2, chapter 15. All of its state is in {@link SvmState}.
 */
final class Svm {
  // The word for virtual interrupts.
  private static final int TASK_PRIORITY = 0xff;
  static final int PENDING = 1 << 8;
  private static final int PRIORITY_SHIFT = 16;
  private static final int IGNORE_PRIORITY = 1 << 20;
  private static final int MASKING = 1 << 24;

  private static final int INTERRUPT_VECTOR = 4;

  /** Of an event word: it is one; it has an error code; where its type is. */
  static final long VALID = 1L << 31;

  static final long HAS_CODE = 1 << 11;
  static final int TYPE_SHIFT = 8;

  // Types of events.
  static final int TYPE_INTERRUPT = 0;
  static final int TYPE_NMI = 2;
  static final int TYPE_EXCEPTION = 3;
  static final int TYPE_SOFTWARE = 4;

  private final Processor cpu;
  private final long state;
  private final VirtualExit exit = new VirtualExit();

  /** The event word of what a guest's handler is being called for, or 0. */
  long delivering;

  Svm(Processor cpu) {
    this.cpu = cpu;
    state = cpu.state;
  }

  /** EFER.SVME. */
  boolean enabled() {
    return (getLong(state + CpuState.EFER) & Bits.EFER_SVME) != 0;
  }

  // Intercepts; asked for only while a guest runs.

  boolean intercepts(int code) {
    int word = getInt(state + SvmState.INTERCEPTS + (code >>> 5) * 4);
    return (word >>> (code & 31) & 1) != 0;
  }

  VirtualExit exit(int code) {
    return exit.with(code, 0, 0);
  }

  VirtualExit exit(int code, long information, long information2) {
    return exit.with(code, information, information2);
  }

  /** A guest leaves if that is intercepted; else, and without a guest, nothing happens. */
  void leaveIf(int code) {
    if (cpu.guestMode && intercepts(code)) {
      throw exit(code);
    }
  }

  /** An exception is about to be delivered; a page fault's address is the noted one. */
  void raised(int vector, int errorCode) {
    if (cpu.guestMode && intercepts(VirtualExit.EXCEPTION + vector)) {
      boolean pageFault = vector == GuestFault.PF;
      throw exit(
          VirtualExit.EXCEPTION + vector,
          errorCode & 0xffff_ffffL,
          pageFault ? cpu.faultAddress : 0);
    }
  }

  /** The handler of {@code vector} is about to be called. */
  void delivers(int type, int vector, boolean hasCode, int errorCode) {
    if (cpu.guestMode) {
      delivering =
          VALID
              | (long) type << TYPE_SHIFT
              | vector
              | (hasCode ? HAS_CODE | (long) errorCode << 32 : 0);
    }
  }

  /** The same, if a program has called for that handler itself. */
  void deliversForProgram(int vector) {
    if (delivering == 0) {
      boolean exception =
          vector == GuestFault.DB || vector == GuestFault.BP || vector == GuestFault.OF;
      delivers(exception ? TYPE_EXCEPTION : TYPE_SOFTWARE, vector, false, 0);
    }
  }

  // Interrupts.

  /** GIF is clear. */
  boolean held() {
    return getInt(state + SvmState.INTERRUPTS_HELD) != 0;
  }

  void hold(boolean on) {
    putInt(state + SvmState.INTERRUPTS_HELD, on ? 1 : 0);
    if (!on) {
      cpu.setAttention(CpuState.ATTENTION_INTERRUPT | CpuState.ATTENTION_EVENT);
    }
  }

  /** Interrupts of the machine are the host's matter, whatever the guest's RFLAGS.IF says. */
  private boolean masks() {
    return cpu.guestMode && (getInt(state + SvmState.VIRTUAL_INTERRUPT) & MASKING) != 0;
  }

  /** The flag that lets interrupts of the machine through. */
  boolean interruptsEnabled() {
    long flags = masks() ? getLong(state + SvmState.HOST_RFLAGS) : cpu.systemFlags;
    return (flags & Bits.IF) != 0;
  }

  /** A virtual interrupt waits for nothing but the guest's RFLAGS.IF. */
  boolean virtualInterruptPending() {
    int word = getInt(state + SvmState.VIRTUAL_INTERRUPT);
    return cpu.guestMode
        && (word & PENDING) != 0
        && ((word & IGNORE_PRIORITY) != 0 || (word >>> PRIORITY_SHIFT & 15) > (word & 15));
  }

  /** Takes the virtual interrupt: its vector. */
  int takeVirtualInterrupt() {
    long at = state + SvmState.VIRTUAL_INTERRUPT;
    putInt(at, getInt(at) & ~PENDING);
    return getInt(at + INTERRUPT_VECTOR) & 0xff;
  }

  /** An interrupt waits for the RFLAGS.IF of what runs, which is clear. */
  boolean interruptWaits() {
    return (cpu.systemFlags & Bits.IF) == 0
        && (!masks() && cpu.apic.interruptPending() || virtualInterruptPending());
  }

  /** CR8: the guest's own where its interrupts are. */
  int taskPriority() {
    return masks() ? getInt(state + SvmState.VIRTUAL_INTERRUPT) & 15 : cpu.apic.taskPriority();
  }

  void setTaskPriority(int priority) {
    if (masks()) {
      long at = state + SvmState.VIRTUAL_INTERRUPT;
      putInt(at, getInt(at) & ~TASK_PRIORITY | priority);
    } else {
      cpu.apic.setTaskPriority(priority);
    }
  }

  /** INIT: neither guest nor GIF. */
  void reset() {
    if (getInt(state + SvmState.GUEST) != 0) {
      endGuest();
    }
    putInt(state + SvmState.INTERRUPTS_HELD, 0);
    putInt(state + SvmState.INIT_PENDING, 0);
    putInt(state + SvmState.SMI_PENDING, 0);
  }

  /** The guest is over, and what it saw of time; registers and address space are the caller's. */
  void endGuest() {
    putInt(state + SvmState.GUEST, 0);
    long at = state + CpuState.TSC_OFFSET;
    putLong(at, getLong(at) - getLong(state + SvmState.TSC_OFFSET));
    putLong(state + SvmState.TSC_OFFSET, 0);
  }

  /** The state was changed from outside: takes over whether a guest runs. */
  void load() {
    cpu.endNesting();
    delivering = 0;
    if (getInt(state + SvmState.GUEST) != 0) {
      cpu.enterGuest(false);
      nest();
    } else if (cpu.guestMode) {
      cpu.leaveGuest();
    }
    cpu.flushAll();
  }

  /** Lets the guest's physical addresses go through its host's tables if it is to be so. */
  void nest() {
    if ((getLong(state + SvmState.NESTED_CONTROL) & 1) != 0) {
      cpu.nest(
          getLong(state + SvmState.NESTED_CR3),
          getLong(state + SvmState.HOST_CR0),
          getLong(state + SvmState.HOST_CR4),
          getLong(state + SvmState.HOST_EFER));
    }
  }
}
