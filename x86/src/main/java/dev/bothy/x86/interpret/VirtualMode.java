package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * What virtual-8086 mode and its extensions make of the instructions that IOPL guards: AMD64 APM
 * volume 2, section 8.10 (CR4.VME, CR4.PVI, the interrupt redirection bitmap), and the instructions
 * in volume 3.
 */
final class VirtualMode {
  /** Of the task-state segment: offset of the I/O permission map, and bytes of the bitmap. */
  private static final int MAP_BASE = 0x66;

  private static final int BITMAP = 32;
  private static final int SMALLEST_TSS = 0x67;

  private VirtualMode() {}

  /** In virtual-8086 mode, IOPL is below 3: what it guards is not the program's. */
  private static boolean guarded(Processor cpu) {
    return cpu.virtual8086() && cpu.iopl() < 3;
  }

  private static boolean extended(Processor cpu) {
    return (getLong(cpu.state + CpuState.CR4) & Bits.CR4_VME) != 0;
  }

  /** CLI and STI act on VIF, not on IF. */
  private static boolean virtualInterrupts(Processor cpu) {
    if (cpu.cpl != 3 || cpu.iopl() == 3) {
      return false;
    }
    long wanted = cpu.virtual8086() ? Bits.CR4_VME : Bits.CR4_PVI;
    return (getLong(cpu.state + CpuState.CR4) & wanted) != 0;
  }

  /** CLI: the interrupt flag that is the program's; #GP(0) if none is. */
  static void clearInterruptFlag(Processor cpu) {
    if (cpu.protectedMode && cpu.cpl > cpu.iopl()) {
      if (!virtualInterrupts(cpu)) {
        throw cpu.gp();
      }
      cpu.setSystemFlag(Bits.VIF, false);
      return;
    }
    cpu.setSystemFlag(Bits.IF, false);
  }

  /** STI, likewise; #GP(0), too, if a virtual interrupt waits. */
  static void setInterruptFlag(Processor cpu) {
    if (cpu.protectedMode && cpu.cpl > cpu.iopl()) {
      if (!virtualInterrupts(cpu) || (cpu.systemFlags & Bits.VIP) != 0) {
        throw cpu.gp();
      }
      cpu.setSystemFlag(Bits.VIF, true);
    } else if ((cpu.systemFlags & Bits.IF) == 0) {
      cpu.setSystemFlag(Bits.IF, true);
      cpu.shadow(false);
    }
  }

  /** What PUSHF of {@code size} bytes pushes. */
  static int pushedFlags(Processor cpu, int size) {
    int flags = cpu.rflags() & ~(Bits.RF | Bits.VM);
    if (guarded(cpu)) {
      requireExtended(cpu, size);
      return asSeen(flags);
    }
    return flags;
  }

  /** FLAGS as the program is to see them: IF is VIF, IOPL is 3. */
  private static int asSeen(int flags) {
    return flags & ~Bits.IF | Bits.IOPL | ((flags & Bits.VIF) != 0 ? Bits.IF : 0);
  }

  private static void requireExtended(Processor cpu, int size) {
    if (!extended(cpu) || size != 2) {
      throw cpu.gp();
    }
  }

  /** For POPF and IRET of {@code size} bytes: #GP(0) if the program may not load any flags. */
  static void checkFlagAccess(Processor cpu, int size) {
    if (guarded(cpu)) {
      requireExtended(cpu, size);
    }
  }

  /**
   * For them, too, before they change anything: true if {@code flags} are to be loaded by {@link
   * #loadFlags}; #GP(0) if not these.
   */
  static boolean takesFlags(Processor cpu, int flags) {
    if (!guarded(cpu)) {
      return false;
    }
    boolean waits = (flags & Bits.IF) != 0 && (cpu.systemFlags & Bits.VIP) != 0;
    if (waits || (flags & Bits.TF) != 0) {
      throw cpu.gp();
    }
    return true;
  }

  /** Loads 16 bits of flags of a program that does not own IF: IF becomes VIF, IOPL stays. */
  static void loadFlags(Processor cpu, int flags) {
    int mask = Bits.ARITHMETIC | Bits.TF | Bits.DF | Bits.NT;
    int value = cpu.rflags() & ~mask & ~Bits.VIF | flags & mask;
    cpu.setRflags(value | ((flags & Bits.IF) != 0 ? Bits.VIF : 0));
  }

  /**
   * INT n in virtual-8086 mode, RIP behind it: goes to the program's own handler or through the
   * IDT, by the interrupt redirection bitmap; #GP(0) if IOPL does not allow the latter.
   */
  static void interrupt(Processor cpu, int vector) {
    if (extended(cpu) && !toMonitor(cpu, vector)) {
      redirect(cpu, vector);
    } else if (cpu.iopl() < 3) {
      throw cpu.gp();
    } else {
      EventDelivery.software(cpu, vector);
    }
  }

  private static boolean toMonitor(Processor cpu, int vector) {
    int tr = cpu.segmentAttributes(CpuState.TR);
    long limit = cpu.segmentLimit(CpuState.TR) & 0xffff_ffffL;
    if ((tr & Descriptor.PRESENT) == 0 || (tr & 8) == 0 || limit < SMALLEST_TSS) {
      throw cpu.gp();
    }
    long base = cpu.segmentBase(CpuState.TR);
    long map = cpu.loadSystem(base + MAP_BASE & 0xffff_ffffL, 2);
    long at = map - BITMAP + (vector >>> 3);
    if (map < BITMAP || at > limit) {
      throw cpu.gp();
    }
    return (cpu.loadSystem(base + at & 0xffff_ffffL, 1) >>> (vector & 7) & 1) != 0;
  }

  private static void redirect(Processor cpu, int vector) {
    if (cpu.debug.trace != null) {
      cpu.debug.trace.software(vector);
    }
    long entry = cpu.loadSized(4L * vector, 4);
    int flags = cpu.rflags();
    boolean owner = cpu.iopl() == 3;
    long sp = cpu.rsp();
    long flagsAt = cpu.stackLinear(sp - 2, 2, true);
    long csAt = cpu.stackLinear(sp - 4, 2, true);
    long ipAt = cpu.stackLinear(sp - 6, 2, true);
    cpu.probeStore(ipAt, 2);
    cpu.probeStore(csAt, 2);
    cpu.store16(flagsAt, owner ? flags : asSeen(flags));
    cpu.store16(csAt, cpu.segmentSelector(CpuState.CS));
    cpu.store16(ipAt, (int) getLong(cpu.ripAt));
    cpu.setRsp(sp - 6);
    cpu.setSystemFlag(Bits.TF | Bits.RF | (owner ? Bits.IF : Bits.VIF), false);
    FarTransfer.setRealModeCs(cpu, (int) (entry >>> 16));
    putLong(cpu.ripAt, entry & 0xffff);
  }
}
