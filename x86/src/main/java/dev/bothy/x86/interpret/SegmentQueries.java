package dev.bothy.x86.interpret;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/** LAR, LSL, VERR, VERW, ARPL, and loading LDTR and TR. */
final class SegmentQueries {
  private SegmentQueries() {}

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case ARPL -> {
        // Memory is written only if it changes.
        long old =
            i.kind[0] == Instruction.MEMORY
                ? cpu.loadSized(cpu.linear(i.segment, cpu.offset(i), 2, false), 2)
                : Operands.read(cpu, i, 0);
        int rpl = (int) Operands.read(cpu, i, 1) & 3;
        boolean raise = (old & 3) < rpl;
        if (raise) {
          Operands.write(cpu, i, 0, old & ~3L | rpl);
        }
        setZero(cpu, raise);
      }
      case LAR, LSL -> {
        int selector = (int) Operands.read(cpu, i, 1) & 0xffff;
        long descriptor = visible(cpu, selector, i.op == Op.LAR);
        boolean found = descriptor != -1;
        if (found) {
          long value =
              i.op == Op.LAR
                  ? descriptor >>> 32 & 0xff_ff00L
                  : Descriptor.limit(descriptor) & 0xffff_ffffL;
          Operands.write(cpu, i, 0, value);
        }
        setZero(cpu, found);
      }
      default -> {
        int selector = (int) Operands.read(cpu, i, 0) & 0xffff;
        setZero(cpu, accessible(cpu, selector, i.op == Op.VERW));
      }
    }
  }

  private static void setZero(Processor cpu, boolean zero) {
    int flags = cpu.arithmeticFlags();
    cpu.setArithmeticFlags(zero ? flags | Bits.ZF : flags & ~Bits.ZF);
  }

  /** The descriptor, or -1 if there is none inside the table. */
  private static long find(Processor cpu, int selector) {
    if ((selector & 0xfffc) == 0) {
      return -1;
    }
    long address;
    try {
      address = cpu.descriptorAddress(selector, 8, GuestFault.GP);
    } catch (GuestFault f) {
      return -1;
    }
    return cpu.loadSystem(address, 8);
  }

  private static boolean privileged(Processor cpu, int selector, int attributes) {
    int dpl = Descriptor.dpl(attributes);
    return cpu.cpl > dpl || (selector & 3) > dpl;
  }

  private static long visible(Processor cpu, int selector, boolean lar) {
    long descriptor = find(cpu, selector);
    if (descriptor == -1) {
      return -1;
    }
    int attributes = Descriptor.attributes(descriptor);
    if ((attributes & Descriptor.CODE_DATA) == 0) {
      int type = Descriptor.type(attributes);
      boolean known =
          switch (type) {
            case Descriptor.LDT, Descriptor.TSS_AVAILABLE, Descriptor.TSS_BUSY -> true;
            case Descriptor.TSS16_AVAILABLE, Descriptor.TSS16_BUSY -> !cpu.longMode;
            case Descriptor.CALL_GATE -> lar;
            case Descriptor.CALL_GATE16, Descriptor.TASK_GATE -> lar && !cpu.longMode;
            default -> false;
          };
      if (!known) {
        return -1;
      }
    } else if ((attributes & (Descriptor.CODE | Descriptor.CONFORMING))
        == (Descriptor.CODE | Descriptor.CONFORMING)) {
      return descriptor;
    }
    return privileged(cpu, selector, attributes) ? -1 : descriptor;
  }

  private static boolean accessible(Processor cpu, int selector, boolean write) {
    long descriptor = find(cpu, selector);
    if (descriptor == -1) {
      return false;
    }
    int attributes = Descriptor.attributes(descriptor);
    if ((attributes & Descriptor.CODE_DATA) == 0) {
      return false;
    }
    boolean code = (attributes & Descriptor.CODE) != 0;
    boolean flag = (attributes & Descriptor.WRITABLE) != 0;
    if (write ? code || !flag : code && !flag) {
      return false;
    }
    boolean conforming = code && (attributes & Descriptor.CONFORMING) != 0;
    return conforming || !privileged(cpu, selector, attributes);
  }

  static void loadLdt(Processor cpu, int selector) {
    selector &= 0xffff;
    if ((selector & 0xfffc) == 0) {
      cpu.loadNull(CpuState.LDTR, selector);
      return;
    }
    load(cpu, CpuState.LDTR, selector, Descriptor.LDT);
  }

  static void loadTask(Processor cpu, int selector) {
    selector &= 0xffff;
    if ((selector & 0xfffc) == 0) {
      throw cpu.gp();
    }
    load(cpu, CpuState.TR, selector, Descriptor.TSS_AVAILABLE);
  }

  private static void load(Processor cpu, int segment, int selector, int wanted) {
    int code = selector & 0xfffc;
    if ((selector & 4) != 0) {
      throw cpu.raise(GuestFault.GP, code);
    }
    int bytes = cpu.longMode ? 16 : 8;
    long at = cpu.descriptorAddress(selector, bytes, GuestFault.GP);
    long low = cpu.loadSystem(at, 8);
    long high = cpu.longMode ? cpu.loadSystem(at + 8, 8) : 0;
    int attributes = Descriptor.attributes(low);
    int type = attributes & 0x1f;
    boolean small =
        wanted == Descriptor.TSS_AVAILABLE && type == Descriptor.TSS16_AVAILABLE && !cpu.longMode;
    if (type != wanted && !small) {
      throw cpu.raise(GuestFault.GP, code);
    }
    if ((high >>> 40 & 0x1f) != 0) {
      throw cpu.raise(GuestFault.GP, code);
    }
    if ((attributes & Descriptor.PRESENT) == 0) {
      throw cpu.raise(GuestFault.NP, code);
    }
    long base = Descriptor.base(low) | high << 32;
    if (cpu.longMode && !cpu.canonicalHere(base)) {
      throw cpu.raise(GuestFault.GP, code);
    }
    if (segment == CpuState.TR) {
      // Busy from now on.
      cpu.storeSystem(at + 5, 1, low >>> 40 & 0xff | 2);
      attributes |= 2;
    }
    cpu.setSegment(segment, selector, base, Descriptor.limit(low), attributes);
  }
}
