package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.MachineClock;
import dev.bothy.core.SyntheticConnections;
import dev.bothy.core.cpu.CpuState;
import java.lang.invoke.VarHandle;

/**
 * What a processor of a model with {@link dev.bothy.core.cpu.CpuFeature#HYPERV} offers to guests
 * that know Microsoft's hypervisor: CPUID leaves, reference time, hypercalls, and by {@link
 * SyntheticInterrupts} and {@link SyntheticTimers} interrupts. Follows Microsoft's "Hypervisor Top
 * Level Functional Specification" 6.0b, chapters 2, 3, 11 and 12. Owned by its vCPU's thread.
 */
final class HypervInterface {
  // MSRs of the machine as a whole.
  private static final int GUEST_OS_ID = 0x4000_0000;
  private static final int HYPERCALL = 0x4000_0001;
  private static final int REFERENCE_TSC = 0x4000_0021;

  // MSRs of the processor.
  private static final int VP_INDEX = 0x4000_0002;
  private static final int TIME_REF_COUNT = 0x4000_0020;
  private static final int TSC_FREQUENCY = 0x4000_0022;
  private static final int APIC_FREQUENCY = 0x4000_0023;

  private static final long ENABLE = 1;

  /** Of {@link #HYPERCALL}: nothing but a reset changes it any more. */
  private static final long LOCKED = 1 << 1;

  private static final long PAGE = ~0xfffL;

  /** VMMCALL, RET: what a guest finds on its hypercall page. */
  private static final int CALL_AND_RETURN = 0xc3d9_010f;

  // Hypercalls (chapter 3 and 11), and what they answer besides what connections do.
  private static final int POST_MESSAGE = 0x5c;
  private static final int SIGNAL_EVENT = 0x5d;
  private static final int CODE = 0xffff;
  private static final int FAST = 1 << 16;
  private static final int UNKNOWN_CALL = 2;
  private static final int INVALID_INPUT = 3;
  private static final int INVALID_ALIGNMENT = 4;
  private static final int INVALID_PARAMETER = 5;

  /** In front of a message: connection, reserved, type, size. */
  private static final int MESSAGE_HEADER = 16;

  /**
   * A tick of reference time is 100 ns: 2^64 / 100, rounded up, so that the product's upper half is
   * exact for the first seven years.
   */
  private static final long TICKS_PER_TSC = 0x028f_5c28_f5c2_8f5dL;

  private static final int FEATURES_LOW =
      1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11;

  /** Frequency registers; timers may interrupt without a message. */
  private static final int FEATURES_HIGH = 1 << 8 | 1 << 19;

  /** The guest may send both. */
  private static final int MESSAGES_AND_EVENTS = 1 << 4 | 1 << 5;

  private static final int MAX_PROCESSORS = 64;

  private final Processor cpu;
  final SyntheticInterrupts interrupts;
  final SyntheticTimers timers;

  HypervInterface(Processor cpu) {
    this.cpu = cpu;
    interrupts = new SyntheticInterrupts(cpu);
    timers = new SyntheticTimers(cpu, interrupts);
  }

  /** As after power-on. */
  void reset() {
    interrupts.reset();
    timers.reset();
  }

  /** Takes over a state that was loaded. */
  void load() {
    timers.load();
  }

  /** The leaf's answer goes to {@code out}; false if it is not one of these. */
  static boolean cpuid(int leaf, int[] out) {
    int[] answer =
        switch (leaf) {
          case 0x4000_0000 -> new int[] {0x4000_0005, 0x7263_694d, 0x666f_736f, 0x7648_2074};
          case 0x4000_0001 -> new int[] {0x3123_7648, 0, 0, 0};
          case 0x4000_0002, 0x4000_0004 -> new int[4];
          case 0x4000_0003 -> new int[] {FEATURES_LOW, MESSAGES_AND_EVENTS, 0, FEATURES_HIGH};
          case 0x4000_0005 -> new int[] {MAX_PROCESSORS, MAX_PROCESSORS, 0, 0};
          default -> null;
        };
    if (answer != null) {
      System.arraycopy(answer, 0, out, 0, answer.length);
    }
    return answer != null;
  }

  static boolean owns(int msr) {
    return msr >>> 12 == GUEST_OS_ID >>> 12;
  }

  /** The state with the registers of the machine as a whole: the first processor's. */
  private long shared(int offset) {
    return cpu.engine.first(cpu).state + offset;
  }

  /** Reference time in ticks of 100 ns. */
  static long ticks(MachineClock clock) {
    return Math.multiplyHigh(clock.nanos(), TICKS_PER_TSC);
  }

  private long hypercall() {
    return getLong(shared(CpuState.HYPERV_HYPERCALL));
  }

  long read(int msr) {
    return switch (msr) {
      case GUEST_OS_ID -> getLong(shared(CpuState.HYPERV_GUEST_OS_ID));
      case HYPERCALL -> hypercall();
      case REFERENCE_TSC -> getLong(shared(CpuState.HYPERV_REFERENCE_TSC));
      case VP_INDEX -> cpu.index;
      case TIME_REF_COUNT -> ticks(cpu.machine.clock());
      case TSC_FREQUENCY -> MachineClock.TSC_HZ;
      case APIC_FREQUENCY -> MachineClock.TSC_HZ;
      default -> {
        if (SyntheticTimers.owns(msr)) {
          yield timers.read(msr);
        }
        yield interrupts.read(msr);
      }
    };
  }

  void write(int msr, long value) {
    switch (msr) {
      case GUEST_OS_ID -> {
        putLong(shared(CpuState.HYPERV_GUEST_OS_ID), value);
        if (value == 0) {
          putLong(shared(CpuState.HYPERV_HYPERCALL), hypercall() & LOCKED);
        }
      }
      case HYPERCALL -> {
        if (callsAllowed() && (hypercall() & LOCKED) == 0) {
          putLong(shared(CpuState.HYPERV_HYPERCALL), value);
          if ((value & ENABLE) != 0) {
            cpu.writePhysical(value & PAGE, 4, CALL_AND_RETURN & 0xffff_ffffL);
          }
        }
      }
      case REFERENCE_TSC -> {
        putLong(shared(CpuState.HYPERV_REFERENCE_TSC), value);
        if ((value & ENABLE) != 0) {
          fillReferencePage(value & PAGE);
        }
      }
      case VP_INDEX, TIME_REF_COUNT, TSC_FREQUENCY, APIC_FREQUENCY -> throw cpu.gp();
      default -> {
        if (SyntheticTimers.owns(msr)) {
          timers.write(msr, value);
        } else {
          interrupts.write(msr, value);
          if (msr == SyntheticInterrupts.EOM) {
            timers.retry();
            cpu.engine.connections.endOfMessage(cpu.index);
          }
        }
      }
    }
  }

  /**
   * The page by which guests compute reference time from their TSC, on whatever processor: good as
   * long as nobody moves one.
   */
  private void fillReferencePage(long page) {
    cpu.memory.writeInt(page, 0);
    cpu.memory.writeLong(page + 8, TICKS_PER_TSC);
    cpu.memory.writeLong(page + 16, 0);
    if (!cpu.engine.timeMoved()) {
      cpu.memory.writeInt(page, 1);
      // Who moves its TSC just now sees the page, or is seen here.
      VarHandle.fullFence();
      if (cpu.engine.timeMoved()) {
        cpu.memory.writeInt(page, 0);
      }
    }
  }

  /** The TSC has been moved: guests are to read the register instead of the page. */
  void timeMoved() {
    VarHandle.fullFence();
    long value = getLong(shared(CpuState.HYPERV_REFERENCE_TSC));
    if ((value & ENABLE) != 0) {
      cpu.memory.writeInt(value & PAGE, 0);
    }
  }

  /** A guest that has said what it is makes these hypercalls instead of KVM's. */
  boolean callsAllowed() {
    return getLong(shared(CpuState.HYPERV_GUEST_OS_ID)) != 0;
  }

  /** VMMCALL: control and input in RCX and RDX, or EDX:EAX and EBX:ECX; answers a status. */
  void call() {
    if (cpu.cpl != 0) {
      throw cpu.ud();
    }
    if (cpu.codeBits == 64) {
      cpu.setGpr(CpuState.RAX, call(cpu.gpr(CpuState.RCX), cpu.gpr(CpuState.RDX)));
    } else {
      int status =
          call(
              pair(cpu.gpr(CpuState.RDX), cpu.gpr(CpuState.RAX)),
              pair(cpu.gpr(CpuState.RBX), cpu.gpr(CpuState.RCX)));
      cpu.setGpr32(CpuState.RAX, status);
      cpu.setGpr32(CpuState.RDX, 0);
    }
  }

  private static long pair(long high, long low) {
    return high << 32 | low & 0xffff_ffffL;
  }

  private int call(long control, long input) {
    boolean fast = (control & FAST) != 0;
    if ((control & ~(CODE | FAST)) != 0) {
      return INVALID_INPUT;
    }
    return switch ((int) control & CODE) {
      case POST_MESSAGE -> fast ? INVALID_INPUT : postMessage(input);
      case SIGNAL_EVENT -> {
        if (!fast && (input & 7) != 0) {
          yield INVALID_ALIGNMENT;
        }
        long event = fast ? input : cpu.memory.readLong(input);
        yield cpu.engine.connections.signalEvent((int) event, (int) (event >>> 32) & 0xffff);
      }
      default -> UNKNOWN_CALL;
    };
  }

  private int postMessage(long at) {
    if ((at & 7) != 0) {
      return INVALID_ALIGNMENT;
    }
    int connection = cpu.memory.readInt(at);
    int type = cpu.memory.readInt(at + 8);
    int size = cpu.memory.readInt(at + 12);
    if (size < 0 || size > SyntheticConnections.MOST_PAYLOAD || type <= 0) {
      return INVALID_PARAMETER;
    }
    byte[] payload = new byte[size];
    cpu.memory.read(at + MESSAGE_HEADER, payload, 0, size);
    return cpu.engine.connections.postMessage(connection, type, payload);
  }
}
