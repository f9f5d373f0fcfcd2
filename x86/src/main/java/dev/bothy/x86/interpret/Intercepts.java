package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Instructions that a guest's host wants to see: AMD64 APM volume 2, sections 15.7 to 15.11 and
 * 15.33 (what a decoder knows of them is told). Looked at behind an instruction's own rights, and
 * before its memory operands.
 */
final class Intercepts {
  private static final int NONE = -1;

  /** Bits of CR0 that the selective intercept lets a guest change. */
  private static final long FREE_CR0 = Bits.CR0_TS | Bits.CR0_MP;

  /** It was MOV; LMSW, SMSW and CLTS are told without. */
  private static final long BY_MOVE = 1L << 63;

  private static final long STRING = 1 << 2;
  private static final long REPEATED = 1 << 3;
  private static final int SIZE_SHIFT = 4;
  private static final int ADDRESS_SIZE_SHIFT = 7;
  private static final int SEGMENT_SHIFT = 10;
  private static final int PORT_SHIFT = 16;

  private static final int MSRS_OF_RANGE = 0x2000;
  private static final int MSR_RANGE_SIZE = 0x800;

  private Intercepts() {}

  /** Leaves the guest that runs if {@code i}, which is about to be executed, is intercepted. */
  static void check(Processor cpu, Instruction i) {
    switch (i.op) {
      case MOV -> move(cpu, i);
      case LMSW -> {
        leaveIf(cpu, i, VirtualExit.WRITE_CR, 0);
        leaveIf(cpu, i, VirtualExit.SELECTIVE_CR0, 0);
      }
      case RDTSC, RDTSCP -> {
        if (cpu.cpl == 0 || (getLong(cpu.state + CpuState.CR4) & Bits.CR4_TSD) == 0) {
          leaveIf(cpu, i, code(i.op), 0);
        }
      }
      case RDPMC -> {
        if (cpu.cpl == 0 || (getLong(cpu.state + CpuState.CR4) & Bits.CR4_PCE) != 0) {
          leaveIf(cpu, i, VirtualExit.RDPMC, 0);
        }
      }
      case XSETBV -> {
        if (cpu.cpl == 0 && (getLong(cpu.state + CpuState.CR4) & Bits.CR4_OSXSAVE) != 0) {
          leaveIf(cpu, i, VirtualExit.XSETBV, 0);
        }
      }
      case PUSHF, POPF, IRET, INT -> {
        if (!cpu.virtual8086() || cpu.iopl() == 3) {
          leaveIf(cpu, i, code(i.op), i.op == Op.INT ? i.immediate & 0xff : 0);
        }
      }
      case INTO -> {
        if (cpu.of()) {
          leaveIf(cpu, i, VirtualExit.EXCEPTION + GuestFault.OF, 0);
        }
      }
      case INVLPG -> leaveIf(cpu, i, VirtualExit.INVLPG, SystemOps.segmentOffset(cpu, i));
      case IN, OUT, INS, OUTS -> port(cpu, i);
      case RDMSR, WRMSR -> register(cpu, i);
      case VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA -> {
        SvmInstructions.checkRights(cpu);
        leaveIf(cpu, i, code(i.op), 0);
      }
      default -> {
        int code = code(i.op);
        if (code != NONE) {
          leaveIf(cpu, i, code, 0);
        }
      }
    }
  }

  private static int code(Op op) {
    return switch (op) {
      case SMSW -> VirtualExit.READ_CR;
      case CLTS -> VirtualExit.WRITE_CR;
      case SIDT -> VirtualExit.READ_IDTR;
      case SGDT -> VirtualExit.READ_GDTR;
      case SLDT -> VirtualExit.READ_LDTR;
      case STR -> VirtualExit.READ_TR;
      case LIDT -> VirtualExit.WRITE_IDTR;
      case LGDT -> VirtualExit.WRITE_GDTR;
      case LLDT -> VirtualExit.WRITE_LDTR;
      case LTR -> VirtualExit.WRITE_TR;
      case RDTSC -> VirtualExit.RDTSC;
      case RDTSCP -> VirtualExit.RDTSCP;
      case PUSHF -> VirtualExit.PUSHF;
      case POPF -> VirtualExit.POPF;
      case CPUID -> VirtualExit.CPUID;
      case RSM -> VirtualExit.RSM;
      case IRET -> VirtualExit.IRET;
      case INT -> VirtualExit.SOFTWARE_INTERRUPT;
      case INT3 -> VirtualExit.EXCEPTION + GuestFault.BP;
      case INT1 -> VirtualExit.ICEBP;
      case INVD -> VirtualExit.INVD;
      case WBINVD -> VirtualExit.WBINVD;
      case HLT -> VirtualExit.HLT;
      case INVLPGA -> VirtualExit.INVLPGA;
      case INVPCID -> VirtualExit.INVPCID;
      case VMRUN -> VirtualExit.VMRUN;
      case VMMCALL -> VirtualExit.VMMCALL;
      case VMLOAD -> VirtualExit.VMLOAD;
      case VMSAVE -> VirtualExit.VMSAVE;
      case STGI -> VirtualExit.STGI;
      case CLGI -> VirtualExit.CLGI;
      case MONITOR -> VirtualExit.MONITOR;
      case MWAIT -> VirtualExit.MWAIT;
      default -> NONE;
    };
  }

  private static void leaveIf(Processor cpu, Instruction i, int code, long information) {
    if (cpu.svm.intercepts(code)) {
      throw leave(cpu, i, code, information, 0);
    }
  }

  private static VirtualExit leave(
      Processor cpu, Instruction i, int code, long information, long information2) {
    VirtualExit exit = cpu.svm.exit(code, information, information2);
    exit.next = cpu.nextRip(i);
    return exit;
  }

  private static void move(Processor cpu, Instruction i) {
    if (i.kind[0] == Instruction.CONTROL_REGISTER) {
      int control = i.register[0];
      long information = BY_MOVE | i.register[1];
      leaveIf(cpu, i, VirtualExit.WRITE_CR + control, information);
      long changed = getLong(cpu.state + CpuState.CR0) ^ SystemOps.registerOperand(cpu, i, 1);
      if (control == 0 && (changed & ~FREE_CR0) != 0) {
        leaveIf(cpu, i, VirtualExit.SELECTIVE_CR0, information);
      }
    } else if (i.kind[1] == Instruction.CONTROL_REGISTER) {
      leaveIf(cpu, i, VirtualExit.READ_CR + i.register[1], BY_MOVE | i.register[0]);
    } else if (i.kind[0] == Instruction.DEBUG_REGISTER) {
      leaveIf(cpu, i, VirtualExit.WRITE_DR + i.register[0], i.register[1]);
    } else if (i.kind[1] == Instruction.DEBUG_REGISTER) {
      leaveIf(cpu, i, VirtualExit.READ_DR + i.register[1], i.register[0]);
    }
  }

  /** PAUSE: not every one, if the host says how many may pass. */
  static void pause(Processor cpu, Instruction i) {
    if (cpu.svm.intercepts(VirtualExit.PAUSE)) {
      long at = cpu.state + SvmState.PAUSES;
      int left = getInt(at);
      if (left == 0) {
        throw leave(cpu, i, VirtualExit.PAUSE, 0, 0);
      }
      putInt(at, left - 1);
    }
  }

  private static void port(Processor cpu, Instruction i) {
    if (!cpu.svm.intercepts(VirtualExit.PORT)) {
      return;
    }
    boolean string = i.op == Op.INS || i.op == Op.OUTS;
    boolean in = i.op == Op.IN || i.op == Op.INS;
    int size = string ? StringOps.elementSize(i) : SystemOps.portSize(i);
    int port = string ? (int) cpu.gpr(CpuState.RDX) & 0xffff : SystemOps.port(cpu, i);
    // Whether the guest itself allows it comes first.
    ControlRegisters.checkPort(cpu, port, size);
    long map = getLong(cpu.state + SvmState.PORT_MAP) + (port >>> 3);
    long bits = cpu.readPhysical(map, 1) | cpu.readPhysical(map + 1, 1) << 8;
    if ((bits >>> (port & 7) & (1 << size) - 1) == 0) {
      return;
    }
    int segment = i.op == Op.OUTS ? i.segment : CpuState.ES;
    long information =
        (in ? 1 : 0)
            | (string ? STRING : 0)
            | (string && i.repeat != 0 ? REPEATED : 0)
            | (long) size << SIZE_SHIFT
            | (long) (i.addressSize >> 1) << ADDRESS_SIZE_SHIFT
            | (string ? (long) segment << SEGMENT_SHIFT : 0)
            | (long) port << PORT_SHIFT;
    throw leave(cpu, i, VirtualExit.PORT, information, cpu.nextRip(i));
  }

  private static void register(Processor cpu, Instruction i) {
    if (!cpu.svm.intercepts(VirtualExit.MSR)) {
      return;
    }
    boolean write = i.op == Op.WRMSR;
    int index = (int) cpu.gpr(CpuState.RCX);
    int range =
        switch (index & -MSRS_OF_RANGE) {
          case 0 -> 0;
          case 0xc000_0000 -> 1;
          case 0xc001_0000 -> 2;
          default -> NONE;
        };
    boolean leaves = true;
    if (range != NONE) {
      int bit = 2 * (index & MSRS_OF_RANGE - 1) + (write ? 1 : 0);
      long map = getLong(cpu.state + SvmState.MSR_MAP) + range * MSR_RANGE_SIZE + (bit >>> 3);
      leaves = (cpu.readPhysical(map, 1) >>> (bit & 7) & 1) != 0;
    }
    if (leaves) {
      throw leave(cpu, i, VirtualExit.MSR, write ? 1 : 0, 0);
    }
  }
}
