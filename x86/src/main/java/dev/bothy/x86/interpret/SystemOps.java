package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;
import dev.bothy.x86.decode.TableEntry;

/** System instructions: each ends its block, for it may change what the next instruction is. */
final class SystemOps {
  private SystemOps() {}

  /** #UD and #GP that the table tells of, mode and privilege; then, in a guest, its intercepts. */
  static void checkRights(Processor cpu, Instruction i) {
    if (!Transaction.allows(i.op)) {
      cpu.refuseInTransaction();
    }
    TableEntry entry = i.entry;
    if (entry.has(TableEntry.PROTECTED) && !cpu.usesDescriptors()) {
      throw cpu.ud();
    }
    if (entry.has(TableEntry.CPL0) && cpu.cpl != 0) {
      // The instructions that change AC do not exist outside the kernel, and RSM not outside of
      // SMM.
      boolean unknown = i.op == Op.CLAC || i.op == Op.STAC || i.op == Op.RSM;
      throw unknown ? cpu.ud() : cpu.gp();
    }
    if (entry.has(TableEntry.UMIP)) {
      ControlRegisters.checkUmip(cpu);
    }
    if (cpu.guestMode) {
      Intercepts.check(cpu, i);
    }
  }

  static void execute(Processor cpu, Instruction i) {
    switch (i.op) {
      case HLT -> cpu.halt();
      case CLI, STI, PUSHF, POPF, CLAC, STAC -> flags(cpu, i);
      case MOV -> move(cpu, i);
      case IN, OUT -> accessPort(cpu, i);
      case INS, OUTS -> StringOps.execute(cpu, i);
      case WRMSR, RDMSR, RDTSC, RDTSCP, RDPMC, RDPID, XGETBV, XSETBV, CPUID -> registers(cpu, i);
      case LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR, SMSW, LMSW, CLTS -> tables(cpu, i);
      case LES, LDS, LSS, LFS, LGS -> loadPointer(cpu, i);
      case LAR, LSL, VERR, VERW, ARPL -> SegmentQueries.execute(cpu, i);
      case SWAPGS -> {
        if (cpu.codeBits != 64) {
          throw cpu.ud();
        }
        long at = cpu.state + CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE);
        long base = getLong(at);
        putLong(at, getLong(cpu.state + CpuState.KERNEL_GS_BASE));
        putLong(cpu.state + CpuState.KERNEL_GS_BASE, base);
      }
      case RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE -> segmentBase(cpu, i);
      case INVLPG -> cpu.flushPage(segmentOffset(cpu, i));
      case INVPCID -> {
        long at = cpu.linear(i, 16);
        long low = cpu.load64(at);
        long high = cpu.load64(at + 8);
        ControlRegisters.invpcid(cpu, Operands.read(cpu, i, 0), low, high);
      }
      case WBINVD, INVD -> {}
      case MONITOR, MWAIT -> {
        if (!cpu.model.has(CpuFeature.MONITOR)) {
          throw cpu.ud();
        }
        if (i.op == Op.MWAIT) {
          Thread.onSpinWait();
        }
      }
      case VMMCALL, VMCALL -> {
        if (cpu.guestMode) {
          // Whoever is below a host is not its guest's to call.
          throw cpu.ud();
        }
        Hypercalls.execute(cpu);
      }
      case VMRUN, VMLOAD, VMSAVE, STGI, CLGI, INVLPGA -> {
        SvmInstructions.checkRights(cpu);
        SvmInstructions.execute(cpu, i);
      }
      case RDPKRU, WRPKRU -> ProtectionKeys.execute(cpu, i);
      case XBEGIN, XEND, XABORT, XTEST -> cpu.transactions.execute(i);
      case RDSSP, INCSSP, RSTORSSP, SAVEPREVSSP, WRSS, WRUSS, SETSSBSY, CLRSSBSY ->
          ShadowStackInstructions.execute(cpu, i);
      case XSAVES, XRSTORS -> SupervisorState.execute(cpu, i);
      case RDRAND, RDSEED -> {
        Operands.write(cpu, i, 0, RandomSource.next(cpu));
        cpu.setArithmeticFlags(Bits.CF);
      }
      default -> throw cpu.ud();
    }
  }

  /** The linear address of INVLPG's operand. */
  static long segmentOffset(Processor cpu, Instruction i) {
    long offset = cpu.offset(i);
    if (cpu.codeBits != 64) {
      return offset + cpu.segmentBase(i.segment) & 0xffff_ffffL;
    }
    return i.segment < CpuState.FS ? offset : offset + cpu.segmentBase(i.segment);
  }

  private static void flags(Processor cpu, Instruction i) {
    switch (i.op) {
      case CLI -> VirtualMode.clearInterruptFlag(cpu);
      case STI -> VirtualMode.setInterruptFlag(cpu);
      case CLAC, STAC -> {
        if (cpu.cpl != 0 || !cpu.protectedMode) {
          throw cpu.ud();
        }
        cpu.setSystemFlag(Bits.AC, i.op == Op.STAC);
      }
      case PUSHF -> cpu.push(i.operandSize, VirtualMode.pushedFlags(cpu, i.operandSize));
      default -> {
        VirtualMode.checkFlagAccess(cpu, i.operandSize);
        int value = (int) cpu.peek(i.operandSize, 0);
        boolean virtual = VirtualMode.takesFlags(cpu, value);
        cpu.setRsp(cpu.rsp() + i.operandSize);
        if (virtual) {
          VirtualMode.loadFlags(cpu, value);
          return;
        }
        int mask = Bits.ARITHMETIC | Bits.TF | Bits.DF | Bits.NT;
        if (i.operandSize > 2) {
          mask |= Bits.AC | Bits.ID;
        }
        if (cpu.cpl == 0) {
          mask |= Bits.IOPL;
        }
        if (cpu.cpl <= cpu.iopl()) {
          mask |= Bits.IF;
        }
        int rf = i.operandSize > 2 ? Bits.RF : 0;
        cpu.setRflags(cpu.rflags() & ~mask & ~rf | value & mask);
      }
    }
  }

  private static void move(Processor cpu, Instruction i) {
    if (i.kind[0] == Instruction.CONTROL_REGISTER) {
      ControlRegisters.write(cpu, i.register[0], registerOperand(cpu, i, 1));
    } else if (i.kind[1] == Instruction.CONTROL_REGISTER) {
      Operands.write(cpu, i, 0, ControlRegisters.read(cpu, i.register[1]));
    } else if (i.kind[0] == Instruction.DEBUG_REGISTER) {
      DebugRegisters.write(cpu, i.register[0], registerOperand(cpu, i, 1));
    } else if (i.kind[1] == Instruction.DEBUG_REGISTER) {
      Operands.write(cpu, i, 0, DebugRegisters.read(cpu, i.register[1]));
    } else if (i.kind[0] == Instruction.SEGMENT_REGISTER) {
      if (i.register[0] == CpuState.CS || i.register[0] > CpuState.GS) {
        throw cpu.ud();
      }
      cpu.loadSegmentRegister(i.register[0], (int) Operands.read(cpu, i, 1));
      if (i.register[0] == CpuState.SS) {
        cpu.shadow(true);
      }
    } else {
      Operands.write(cpu, i, 0, Operands.read(cpu, i, 1) & 0xffff);
    }
  }

  static long registerOperand(Processor cpu, Instruction i, int n) {
    return Operands.mask(cpu.gpr(i.register[n]), cpu.codeBits == 64 ? 8 : 4);
  }

  /** Bytes that IN and OUT move. */
  static int portSize(Instruction i) {
    return i.size[i.op == Op.IN ? 0 : 1];
  }

  /** The port that they access. */
  static int port(Processor cpu, Instruction i) {
    int n = i.op == Op.IN ? 1 : 0;
    int mask = i.kind[n] == Instruction.IMMEDIATE ? 0xff : 0xffff;
    return (int) Operands.read(cpu, i, n) & mask;
  }

  private static void accessPort(Processor cpu, Instruction i) {
    boolean in = i.op == Op.IN;
    int size = portSize(i);
    int port = port(cpu, i);
    if (port == VmwareBackdoor.PORT && VmwareBackdoor.answers(cpu, in, size)) {
      return;
    }
    ControlRegisters.checkPort(cpu, port, size);
    cpu.portAccesses++;
    DebugRegisters.checkPort(cpu, port, size);
    if (in) {
      Operands.setGpr(cpu, CpuState.RAX, size, cpu.machine.ports().read(port, size));
    } else {
      cpu.machine.ports().write(port, size, Operands.mask(cpu.gpr(CpuState.RAX), size));
    }
  }

  private static void setPair(Processor cpu, long value) {
    cpu.setGpr32(CpuState.RAX, (int) value);
    cpu.setGpr32(CpuState.RDX, (int) (value >>> 32));
  }

  private static void registers(Processor cpu, Instruction i) {
    switch (i.op) {
      case RDMSR -> {
        int index = (int) cpu.gpr(CpuState.RCX);
        setPair(
            cpu,
            cpu.debug.trace == null
                ? ModelSpecificRegisters.read(cpu, index)
                : cpu.debug.trace.readMsr(index));
      }
      case WRMSR -> {
        int index = (int) cpu.gpr(CpuState.RCX);
        long value = cpu.gpr(CpuState.RDX) << 32 | cpu.gpr(CpuState.RAX) & 0xffff_ffffL;
        if (cpu.debug.trace == null) {
          ModelSpecificRegisters.write(cpu, index, value);
        } else {
          cpu.debug.trace.writeMsr(index, value);
        }
      }
      case RDTSC, RDTSCP -> {
        if (cpu.cpl != 0 && (getLong(cpu.state + CpuState.CR4) & Bits.CR4_TSD) != 0) {
          throw cpu.gp();
        }
        setPair(cpu, cpu.tsc());
        if (i.op == Op.RDTSCP) {
          cpu.setGpr32(CpuState.RCX, (int) getLong(cpu.state + CpuState.TSC_AUX));
        }
      }
      case RDPMC -> {
        if (VmwareBackdoor.counts(cpu, (int) cpu.gpr(CpuState.RCX))) {
          setPair(cpu, cpu.machine.clock().nanos());
          return;
        }
        if (cpu.cpl != 0 && (getLong(cpu.state + CpuState.CR4) & Bits.CR4_PCE) == 0
            || Integer.compareUnsigned((int) cpu.gpr(CpuState.RCX), 3) > 0) {
          throw cpu.gp();
        }
        setPair(cpu, 0);
      }
      case RDPID -> Operands.write(cpu, i, 0, getLong(cpu.state + CpuState.TSC_AUX));
      case XGETBV -> ControlRegisters.xgetbv(cpu);
      case XSETBV -> ControlRegisters.xsetbv(cpu);
      default -> CpuidLeaves.execute(cpu);
    }
  }

  private static void tables(Processor cpu, Instruction i) {
    switch (i.op) {
      case LGDT, LIDT -> {
        boolean wide = cpu.codeBits == 64;
        long at = cpu.linear(i, wide ? 10 : 6);
        int limit = cpu.load16(at);
        long base = wide ? cpu.load64(at + 2) : cpu.load32(at + 2) & 0xffff_ffffL;
        if (!wide && i.operandSize == 2) {
          base &= 0xff_ffff;
        }
        if (wide && !cpu.canonicalHere(base)) {
          throw cpu.gp();
        }
        boolean gdt = i.op == Op.LGDT;
        putLong(cpu.state + (gdt ? CpuState.GDTR_BASE : CpuState.IDTR_BASE), base);
        putInt(cpu.state + (gdt ? CpuState.GDTR_LIMIT : CpuState.IDTR_LIMIT), limit);
      }
      case SGDT, SIDT -> {
        boolean wide = cpu.codeBits == 64;
        boolean gdt = i.op == Op.SGDT;
        long at = cpu.linear(i.segment, cpu.offset(i), wide ? 10 : 6, true);
        cpu.probeStore(at, wide ? 10 : 6);
        cpu.store16(at, getInt(cpu.state + (gdt ? CpuState.GDTR_LIMIT : CpuState.IDTR_LIMIT)));
        cpu.storeSized(
            at + 2,
            wide ? 8 : 4,
            getLong(cpu.state + (gdt ? CpuState.GDTR_BASE : CpuState.IDTR_BASE)));
      }
      case LLDT -> SegmentQueries.loadLdt(cpu, (int) Operands.read(cpu, i, 0));
      case LTR -> SegmentQueries.loadTask(cpu, (int) Operands.read(cpu, i, 0));
      case SLDT -> Operands.write(cpu, i, 0, cpu.segmentSelector(CpuState.LDTR));
      case STR -> Operands.write(cpu, i, 0, cpu.segmentSelector(CpuState.TR));
      case SMSW -> Operands.write(cpu, i, 0, getLong(cpu.state + CpuState.CR0));
      case LMSW -> ControlRegisters.loadMachineStatusWord(cpu, (int) Operands.read(cpu, i, 0));
      default -> {
        putLong(cpu.state + CpuState.CR0, getLong(cpu.state + CpuState.CR0) & ~Bits.CR0_TS);
      }
    }
  }

  private static void loadPointer(Processor cpu, Instruction i) {
    int size = i.operandSize;
    long at = cpu.linear(i, size + 2);
    long offset = cpu.loadSized(at, size);
    int selector = cpu.load16(at + size);
    int segment =
        switch (i.op) {
          case LES -> CpuState.ES;
          case LDS -> CpuState.DS;
          case LSS -> CpuState.SS;
          case LFS -> CpuState.FS;
          default -> CpuState.GS;
        };
    cpu.loadSegmentRegister(segment, selector);
    Operands.write(cpu, i, 0, offset);
  }

  private static void segmentBase(Processor cpu, Instruction i) {
    if (cpu.codeBits != 64 || (getLong(cpu.state + CpuState.CR4) & Bits.CR4_FSGSBASE) == 0) {
      throw cpu.ud();
    }
    boolean fs = i.op == Op.RDFSBASE || i.op == Op.WRFSBASE;
    long at = cpu.state + CpuState.segment(fs ? CpuState.FS : CpuState.GS, CpuState.SEGMENT_BASE);
    if (i.op == Op.RDFSBASE || i.op == Op.RDGSBASE) {
      Operands.write(cpu, i, 0, getLong(at));
    } else {
      long value = Operands.read(cpu, i, 0);
      if (!cpu.canonical(value)) {
        throw cpu.gp();
      }
      putLong(at, value);
    }
  }
}
