package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;

/** MOV to control registers, LMSW, CLTS, XSETBV and EFER: AMD64 APM volume 2, section 3.1. */
final class ControlRegisters {
  private ControlRegisters() {}

  static long read(Processor cpu, int register) {
    return switch (register) {
      case 0 -> getLong(cpu.state + CpuState.CR0);
      case 2 -> getLong(cpu.state + CpuState.CR2);
      case 3 -> getLong(cpu.state + CpuState.CR3);
      case 4 -> getLong(cpu.state + CpuState.CR4);
      case 8 -> cpu.svm.taskPriority();
      default -> throw cpu.ud();
    };
  }

  static void write(Processor cpu, int register, long value) {
    switch (register) {
      case 0 -> writeCr0(cpu, value);
      case 2 -> putLong(cpu.state + CpuState.CR2, value);
      case 3 -> writeCr3(cpu, value);
      case 4 -> writeCr4(cpu, value);
      case 8 -> {
        if ((value & ~15L) != 0) {
          throw cpu.gp();
        }
        cpu.svm.setTaskPriority((int) value);
        cpu.requestAttention();
      }
      default -> throw cpu.ud();
    }
  }

  static final long CR0_KNOWN =
      Bits.CR0_PE
          | Bits.CR0_MP
          | Bits.CR0_EM
          | Bits.CR0_TS
          | Bits.CR0_ET
          | Bits.CR0_NE
          | Bits.CR0_WP
          | Bits.CR0_AM
          | Bits.CR0_NW
          | Bits.CR0_CD
          | Bits.CR0_PG;

  static void writeCr0(Processor cpu, long value) {
    long old = getLong(cpu.state + CpuState.CR0);
    if ((value >>> 32) != 0
        || (value & (Bits.CR0_PG | Bits.CR0_PE)) == Bits.CR0_PG
        || (value & (Bits.CR0_NW | Bits.CR0_CD)) == Bits.CR0_NW
        || (value & Bits.CR0_WP) == 0 && (getLong(cpu.state + CpuState.CR4) & Bits.CR4_CET) != 0) {
      throw cpu.gp();
    }
    value = value & CR0_KNOWN | Bits.CR0_ET;
    long efer = getLong(cpu.state + CpuState.EFER);
    long cr4 = getLong(cpu.state + CpuState.CR4);
    boolean paging = (value & Bits.CR0_PG) != 0;
    boolean wasPaging = (old & Bits.CR0_PG) != 0;
    if (paging && !wasPaging && (efer & Bits.EFER_LME) != 0) {
      if ((cr4 & Bits.CR4_PAE) == 0
          || (cpu.segmentAttributes(CpuState.CS) & Descriptor.LONG) != 0) {
        throw cpu.gp();
      }
      putLong(cpu.state + CpuState.EFER, efer | Bits.EFER_LMA);
    }
    if (!paging && wasPaging) {
      if (cpu.codeBits == 64 || (cr4 & Bits.CR4_PCIDE) != 0) {
        throw cpu.gp();
      }
      putLong(cpu.state + CpuState.EFER, efer & ~Bits.EFER_LMA);
    }
    putLong(cpu.state + CpuState.CR0, value);
    boolean flush = ((old ^ value) & (Bits.CR0_PG | Bits.CR0_WP | Bits.CR0_PE)) != 0;
    if (((old ^ value) & Bits.CR0_PE) != 0 && (value & Bits.CR0_PE) == 0) {
      cpu.setCpl(0);
    }
    cpu.updatePaging(flush);
    cpu.updateMode();
  }

  static void writeCr3(Processor cpu, long value) {
    boolean pcid = (getLong(cpu.state + CpuState.CR4) & Bits.CR4_PCIDE) != 0;
    boolean keep = pcid && value < 0;
    if (pcid) {
      value &= Long.MAX_VALUE;
    }
    if (cpu.longMode && value >>> cpu.model.physicalBits() != 0) {
      throw cpu.gp();
    }
    putLong(cpu.state + CpuState.CR3, cpu.longMode ? value : value & 0xffff_ffffL);
    cpu.switchAddressSpace(keep);
  }

  /** Bits that CR4 may have. */
  static long cr4Known(CpuModel model) {
    long bits =
        Bits.CR4_TSD
            | Bits.CR4_DE
            | Bits.CR4_PSE
            | Bits.CR4_PAE
            | Bits.CR4_MCE
            | Bits.CR4_PGE
            | Bits.CR4_PCE
            | Bits.CR4_OSFXSR
            | Bits.CR4_OSXMMEXCPT;
    if (model.has(CpuFeature.VME)) {
      bits |= Bits.CR4_VME | Bits.CR4_PVI;
    }
    if (model.has(CpuFeature.UMIP)) {
      bits |= Bits.CR4_UMIP;
    }
    if (model.has(CpuFeature.FSGSBASE)) {
      bits |= Bits.CR4_FSGSBASE;
    }
    if (model.has(CpuFeature.PCID)) {
      bits |= Bits.CR4_PCIDE;
    }
    if (model.has(CpuFeature.XSAVE)) {
      bits |= Bits.CR4_OSXSAVE;
    }
    if (model.has(CpuFeature.SMEP)) {
      bits |= Bits.CR4_SMEP;
    }
    if (model.has(CpuFeature.SMAP)) {
      bits |= Bits.CR4_SMAP;
    }
    if (model.has(CpuFeature.PKU)) {
      bits |= Bits.CR4_PKE;
    }
    if (model.has(CpuFeature.PKS)) {
      bits |= Bits.CR4_PKS;
    }
    if (model.has(CpuFeature.LA57)) {
      bits |= Bits.CR4_LA57;
    }
    if (ControlFlow.known(model)) {
      bits |= Bits.CR4_CET;
    }
    return bits;
  }

  static void writeCr4(Processor cpu, long value) {
    long old = getLong(cpu.state + CpuState.CR4);
    if ((value & ~cr4Known(cpu.model)) != 0) {
      throw cpu.gp();
    }
    if (cpu.longMode && ((value & Bits.CR4_PAE) == 0 || ((value ^ old) & Bits.CR4_LA57) != 0)) {
      throw cpu.gp();
    }
    if ((value & ~old & Bits.CR4_PCIDE) != 0
        && (!cpu.longMode || (getLong(cpu.state + CpuState.CR3) & 0xfff) != 0)) {
      throw cpu.gp();
    }
    if ((value & Bits.CR4_CET) != 0 && (getLong(cpu.state + CpuState.CR0) & Bits.CR0_WP) == 0) {
      throw cpu.gp();
    }
    putLong(cpu.state + CpuState.CR4, value);
    if (((old ^ value) & Bits.CR4_CET) != 0) {
      cpu.updateEnforcement();
    }
    long paging =
        Bits.CR4_PSE
            | Bits.CR4_PAE
            | Bits.CR4_PGE
            | Bits.CR4_PCIDE
            | Bits.CR4_SMEP
            | Bits.CR4_SMAP
            | Bits.CR4_PKE
            | Bits.CR4_PKS;
    cpu.updatePaging(((old ^ value) & paging) != 0);
    if (((old ^ value) & Bits.CR4_PKE) != 0) {
      CpuidAnswers.forget(cpu);
    }
  }

  /** Bits that EFER may have. */
  static long eferKnown(CpuModel model) {
    return Bits.EFER_SCE
        | Bits.EFER_LME
        | Bits.EFER_LMA
        | Bits.EFER_NXE
        | Bits.EFER_AUTOIBRS
        | (model.has(CpuFeature.FXSR_OPT) ? Bits.EFER_FFXSR : 0)
        | (model.has(CpuFeature.SVM) ? Bits.EFER_SVME : 0);
  }

  static void writeEfer(Processor cpu, long value) {
    long old = getLong(cpu.state + CpuState.EFER);
    boolean disabled =
        (getLong(cpu.state + SvmState.VM_CR) & ModelSpecificRegisters.SVM_DISABLED) != 0;
    if ((value & ~eferKnown(cpu.model)) != 0 || disabled && (value & Bits.EFER_SVME) != 0) {
      throw cpu.gp();
    }
    if (((old ^ value) & Bits.EFER_LME) != 0 && cpu.paging) {
      throw cpu.gp();
    }
    putLong(cpu.state + CpuState.EFER, value & ~Bits.EFER_LMA | old & Bits.EFER_LMA);
    cpu.updatePaging(((old ^ value) & Bits.EFER_NXE) != 0);
  }

  static void loadMachineStatusWord(Processor cpu, int value) {
    long old = getLong(cpu.state + CpuState.CR0);
    // LMSW can set PE but not clear it.
    long low = value & 0xe | (value | old) & Bits.CR0_PE;
    writeCr0(cpu, old & ~0xfL | low);
  }

  static void xsetbv(Processor cpu) {
    if ((getLong(cpu.state + CpuState.CR4) & Bits.CR4_OSXSAVE) == 0) {
      throw cpu.ud();
    }
    cpu.requireCpl0();
    long value = cpu.gpr(CpuState.RDX) << 32 | cpu.gpr(CpuState.RAX) & 0xffff_ffffL;
    long known =
        XsaveLayout.X87
            | XsaveLayout.SSE
            | (cpu.model.has(CpuFeature.AVX) ? XsaveLayout.AVX : 0)
            | (cpu.model.has(CpuFeature.PKU) ? XsaveLayout.KEYS : 0);
    if ((int) cpu.gpr(CpuState.RCX) != 0
        || (value & ~known) != 0
        || (value & 1) == 0
        || (value & 6) == 4) {
      throw cpu.gp();
    }
    putLong(cpu.state + CpuState.XCR0, value);
    CpuidAnswers.check(cpu);
  }

  static void xgetbv(Processor cpu) {
    if ((getLong(cpu.state + CpuState.CR4) & Bits.CR4_OSXSAVE) == 0) {
      throw cpu.ud();
    }
    int which = (int) cpu.gpr(CpuState.RCX);
    if (which != 0 && !(which == 1 && cpu.model.has(CpuFeature.XGETBV1))) {
      throw cpu.gp();
    }
    // XGETBV 1: which components are in use; all that are enabled, which is always right.
    long value = getLong(cpu.state + CpuState.XCR0);
    cpu.setGpr32(CpuState.RAX, (int) value);
    cpu.setGpr32(CpuState.RDX, (int) (value >>> 32));
  }

  /** CR4.UMIP forbids SGDT, SIDT, SLDT, STR and SMSW to user code. */
  static void checkUmip(Processor cpu) {
    if (cpu.cpl != 0 && (getLong(cpu.state + CpuState.CR4) & Bits.CR4_UMIP) != 0) {
      throw cpu.gp();
    }
  }

  /**
   * #GP unless CPL and IOPL or the TSS's I/O permission map allow {@code size} bytes at {@code
   * port}.
   */
  static void checkPort(Processor cpu, int port, int size) {
    if (!cpu.protectedMode || cpu.cpl <= cpu.iopl() && !cpu.virtual8086()) {
      return;
    }
    int tr = cpu.segmentAttributes(CpuState.TR);
    long limit = cpu.segmentLimit(CpuState.TR) & 0xffff_ffffL;
    if ((tr & Descriptor.PRESENT) == 0 || (tr & 8) == 0 || limit < 0x67) {
      throw cpu.gp();
    }
    long base = cpu.segmentBase(CpuState.TR);
    long map = cpu.loadSystem(base + 0x66, 2) + (port >>> 3);
    if (map + 1 > limit) {
      throw cpu.gp();
    }
    int bits = (int) cpu.loadSystem(base + map, 2) >>> (port & 7);
    if ((bits & (1 << size) - 1) != 0) {
      throw cpu.gp();
    }
  }

  static void invpcid(Processor cpu, long type, long low, long high) {
    boolean pcidOn = (getLong(cpu.state + CpuState.CR4) & Bits.CR4_PCIDE) != 0;
    if (type < 0 || type > 3 || low >>> 12 != 0 || type < 2 && !pcidOn && low != 0) {
      throw cpu.gp();
    }
    switch ((int) type) {
      case 0 -> {
        if (!cpu.canonicalHere(high)) {
          throw cpu.gp();
        }
        cpu.flushPage(high);
      }
      case 1 -> cpu.flushPcid((int) low);
      default -> cpu.flushSpaces();
    }
  }

  /** For tests of DR access: CR4.DE and DR7.GD. */
  static boolean debugExtensions(Processor cpu) {
    return (getInt(cpu.state + CpuState.CR4) & Bits.CR4_DE) != 0;
  }
}
