package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/** DR0 to DR7 and breakpoints: AMD64 APM volume 2, section 13.1. */
final class DebugRegisters {
  static final int SINGLE_STEP = 1 << 14;

  /** The task that was switched to wants to know. */
  static final int TASK_SWITCH = 1 << 15;

  private static final int GENERAL_DETECT = 1 << 13;
  private static final long DR6_FIXED = 0xffff_0ff0L;
  private static final long DR7_FIXED = 0x400;

  private DebugRegisters() {}

  private static long dr(Processor cpu, int index) {
    return getLong(cpu.state + CpuState.DR + 8L * index);
  }

  private static void set(Processor cpu, int index, long value) {
    putLong(cpu.state + CpuState.DR + 8L * index, value);
  }

  private static int checked(Processor cpu, int index) {
    if (index == 4 || index == 5) {
      if (ControlRegisters.debugExtensions(cpu)) {
        throw cpu.ud();
      }
      index += 2;
    }
    if (index > 7) {
      throw cpu.ud();
    }
    cpu.requireCpl0();
    if ((dr(cpu, 7) & GENERAL_DETECT) != 0) {
      set(cpu, 6, dr(cpu, 6) | GENERAL_DETECT);
      set(cpu, 7, dr(cpu, 7) & ~GENERAL_DETECT);
      throw cpu.raise(GuestFault.DB);
    }
    return index;
  }

  static long read(Processor cpu, int index) {
    return dr(cpu, checked(cpu, index));
  }

  static void write(Processor cpu, int index, long value) {
    index = checked(cpu, index);
    if (index >= 6 && value >>> 32 != 0) {
      throw cpu.gp();
    }
    if (index == 6) {
      value = value & 0xe00f | DR6_FIXED;
    } else if (index == 7) {
      value = value & 0xffff_23ffL | DR7_FIXED;
    }
    set(cpu, index, value);
    update(cpu);
  }

  private static boolean enabled(long dr7, int n) {
    return (dr7 >>> (2 * n) & 3) != 0;
  }

  private static int kind(long dr7, int n) {
    return (int) (dr7 >>> (16 + 4 * n)) & 3;
  }

  private static int length(long dr7, int n) {
    return switch ((int) (dr7 >>> (18 + 4 * n)) & 3) {
      case 0 -> 1;
      case 1 -> 2;
      case 2 -> 8;
      default -> 4;
    };
  }

  /** After DR0 to DR7 changed: arms what the loop and the TLB look at. */
  static void update(Processor cpu) {
    long dr7 = dr(cpu, 7);
    boolean data = cpu.debug.watches();
    boolean code = false;
    boolean ports = false;
    for (int n = 0; n < 4; n++) {
      if (enabled(dr7, n)) {
        if (kind(dr7, n) == 0) {
          code = true;
        } else if (kind(dr7, n) == 2) {
          ports = true;
        } else {
          data = true;
        }
      }
    }
    if (data || cpu.watching) {
      cpu.flushAll();
    }
    cpu.watching = data;
    cpu.breakpoints = code;
    cpu.portBreakpoints = ports;
    if (code) {
      cpu.setAttention(Processor.ATTENTION_STEP);
    }
  }

  static boolean armedForCode(Processor cpu) {
    return cpu.breakpoints;
  }

  /** Before the instruction at RIP: raises #DB if a code breakpoint is there and RF is clear. */
  static void checkFetch(Processor cpu) {
    if (!cpu.breakpoints || (cpu.systemFlags & Bits.RF) != 0) {
      return;
    }
    long rip = getLong(cpu.ripAt);
    long linear = cpu.codeBits == 64 ? rip : cpu.segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
    long dr7 = dr(cpu, 7);
    int hits = 0;
    for (int n = 0; n < 4; n++) {
      if (enabled(dr7, n) && kind(dr7, n) == 0 && dr(cpu, n) == linear) {
        hits |= 1 << n;
      }
    }
    if (hits != 0) {
      report(cpu, hits);
      // Taken as a fault: RF is pushed set, so that the handler can return over it.
      cpu.exceptionsByVector[GuestFault.DB]++;
      cpu.exceptions++;
      EventDelivery.codeBreakpoint(cpu);
    }
  }

  /** A data access; a hit is a trap after the instruction. */
  static void checkData(Processor cpu, long linear, int size, boolean write) {
    long dr7 = dr(cpu, 7);
    int hits = 0;
    for (int n = 0; n < 4; n++) {
      int kind = kind(dr7, n);
      if (!enabled(dr7, n) || kind == 0 || kind == 2 || kind == 1 && !write) {
        continue;
      }
      int length = length(dr7, n);
      long at = dr(cpu, n) & -length;
      if (linear < at + length && at < linear + size) {
        hits |= 1 << n;
      }
    }
    if (hits != 0) {
      cpu.pendingDebug |= hits;
      cpu.setAttention(Processor.ATTENTION_STEP);
      cpu.stopAfterThis();
    }
  }

  /** An access to ports; a hit is a trap after the instruction. Only with CR4.DE. */
  static void checkPort(Processor cpu, int port, int size) {
    if (!cpu.portBreakpoints || !ControlRegisters.debugExtensions(cpu)) {
      return;
    }
    long dr7 = dr(cpu, 7);
    int hits = 0;
    for (int n = 0; n < 4; n++) {
      int length = length(dr7, n);
      long at = dr(cpu, n) & -length;
      if (enabled(dr7, n) && kind(dr7, n) == 2 && port < at + length && at < port + size) {
        hits |= 1 << n;
      }
    }
    if (hits != 0) {
      cpu.pendingDebug |= hits;
      cpu.setAttention(Processor.ATTENTION_STEP);
    }
  }

  static boolean watchesPage(Processor cpu, long linear) {
    long dr7 = dr(cpu, 7);
    for (int n = 0; n < 4; n++) {
      int kind = kind(dr7, n);
      if (enabled(dr7, n)
          && kind != 0
          && kind != 2
          && (dr(cpu, n) & ~0xfffL) == (linear & ~0xfffL)) {
        return true;
      }
    }
    return false;
  }

  /** Puts causes into DR6; single-step and breakpoints leave the other causes' bits alone. */
  static void report(Processor cpu, int bits) {
    BranchRecord.end(cpu);
    set(cpu, 7, dr(cpu, 7) & ~GENERAL_DETECT);
    set(cpu, 6, dr(cpu, 6) & ~0xfL | DR6_FIXED | bits);
  }
}
