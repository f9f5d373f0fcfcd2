package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.SvmState;
import java.util.OptionalLong;

/**
 * RDMSR and WRMSR: AMD64 APM volume 2, appendix A; KVM's paravirtual MSRs as in Linux's
 * documentation of them.
 */
final class ModelSpecificRegisters {
  static final int TSC = 0x10;
  static final int APIC_BASE = 0x1b;
  static final int FEATURE_CONTROL = 0x3a;
  static final int TSC_ADJUST = 0x3b;
  static final int SPEC_CTRL = 0x48;
  static final int PRED_CMD = 0x49;
  static final int PATCH_LEVEL = 0x8b;
  static final int MTRR_CAP = 0xfe;
  static final int SYSENTER_CS = 0x174;
  static final int SYSENTER_ESP = 0x175;
  static final int SYSENTER_EIP = 0x176;
  static final int MCG_CAP = 0x179;
  static final int MCG_STATUS = 0x17a;
  static final int MISC_ENABLE = 0x1a0;
  static final int DEBUG_CTL = 0x1d9;
  private static final int LAST_BRANCH = 0x1db;
  private static final int LAST_BRANCH_END = 0x1df;
  static final int MTRR_VARIABLE = 0x200;
  static final int PAT = 0x277;
  static final int MTRR_DEF_TYPE = 0x2ff;
  static final int EFER = 0xc000_0080;
  static final int STAR = 0xc000_0081;
  static final int LSTAR = 0xc000_0082;
  static final int CSTAR = 0xc000_0083;
  static final int SFMASK = 0xc000_0084;
  static final int FS_BASE = 0xc000_0100;
  static final int GS_BASE = 0xc000_0101;
  static final int KERNEL_GS_BASE = 0xc000_0102;
  static final int TSC_AUX = 0xc000_0103;
  static final int SYSCFG = 0xc001_0010;
  static final int HWCR = 0xc001_0015;
  static final int NORTHBRIDGE_CONFIGURATION = 0xc001_001f;
  static final int VM_CR = 0xc001_0114;
  static final int VM_HSAVE_PA = 0xc001_0117;

  /** Of VM_CR: the next bit and this one stay as they are. */
  private static final long SVM_LOCK = 1 << 3;

  /** Of VM_CR: EFER.SVME may not be set. */
  static final long SVM_DISABLED = 1 << 4;

  /** Of VM_CR: what may be written, R_INIT and the like without an effect. */
  private static final long VM_CR_KNOWN = 0x1f;

  /** Extended PCI configuration through port 0xCF8: set, so that nobody tries to set it. */
  private static final long ENABLE_CF8_EXTENDED = 1L << 46;

  private static final int TSC_DEADLINE = 0x6e0;
  private static final int PKRS = 0x6e1;
  private static final int U_CET = 0x6a0;
  private static final int S_CET = 0x6a2;
  private static final int LEVEL_SSP = 0x6a4;
  private static final int LAST_SSP = 0x6a7;
  private static final int INTERRUPT_SSP_TABLE = 0x6a8;
  private static final int XSS = 0xda0;
  private static final int ARCH_CAPABILITIES = 0x10a;
  private static final int TSX_CTRL = 0x122;

  /** RDCL_NO, MDS_NO, TSX_CTRL, TAA_NO. */
  private static final long CAPABILITIES = 1 | 1 << 5 | 1 << 7 | 1 << 8;

  private static final long APIC_BASE_X2APIC = 1 << 10;

  static final int KVM_WALL_CLOCK = 0x4b56_4d00;
  static final int KVM_SYSTEM_TIME = 0x4b56_4d01;
  static final int KVM_WALL_CLOCK_OLD = 0x11;
  static final int KVM_SYSTEM_TIME_OLD = 0x12;

  private static final int[] MTRR_FIXED = {
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f
  };

  private ModelSpecificRegisters() {}

  private static int fixedMtrr(int index) {
    for (int i = 0; i < MTRR_FIXED.length; i++) {
      if (MTRR_FIXED[i] == index) {
        return CpuState.MTRR_FIXED + 8 * i;
      }
    }
    return -1;
  }

  /** Offset in the state of a register that is just stored, or -1. */
  private static int plain(int index) {
    if (index >= MTRR_VARIABLE && index < MTRR_VARIABLE + 16) {
      return CpuState.MTRR_VARIABLE + 8 * (index - MTRR_VARIABLE);
    }
    if (index >= LAST_BRANCH && index < LAST_BRANCH_END) {
      return CpuState.LAST_BRANCH + 8 * (index - LAST_BRANCH);
    }
    if (index >= LEVEL_SSP && index <= LAST_SSP) {
      return CpuState.LEVEL_SSP + 8 * (index - LEVEL_SSP);
    }
    return switch (index) {
      case U_CET -> CpuState.U_CET;
      case S_CET -> CpuState.S_CET;
      case INTERRUPT_SSP_TABLE -> CpuState.INTERRUPT_SSP_TABLE;
      case XSS -> CpuState.XSS;
      case SYSENTER_CS -> CpuState.SYSENTER_CS;
      case SYSENTER_ESP -> CpuState.SYSENTER_ESP;
      case SYSENTER_EIP -> CpuState.SYSENTER_EIP;
      case MCG_STATUS -> CpuState.MCG_STATUS;
      case MTRR_DEF_TYPE -> CpuState.MTRR_DEF_TYPE;
      case STAR -> CpuState.STAR;
      case SFMASK -> CpuState.SFMASK;
      case TSC_ADJUST -> CpuState.TSC_ADJUST;
      case TSC_AUX -> CpuState.TSC_AUX;
      // Intel's, and no more than stored.
      case MISC_ENABLE -> CpuState.MISC_ENABLE;
      case PAT -> CpuState.PAT;
      case LSTAR -> CpuState.LSTAR;
      case VM_CR -> SvmState.VM_CR;
      case VM_HSAVE_PA -> SvmState.HOST_SAVE_AREA;
      case CSTAR -> CpuState.CSTAR;
      case KERNEL_GS_BASE -> CpuState.KERNEL_GS_BASE;
      case FS_BASE -> CpuState.segment(CpuState.FS, CpuState.SEGMENT_BASE);
      case GS_BASE -> CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE);
      default -> fixedMtrr(index);
    };
  }

  /** #GP for a register that comes with a feature which the model lacks. */
  private static void checkFeature(Processor cpu, int index) {
    CpuFeature needed =
        switch (index) {
          case TSC_ADJUST -> CpuFeature.TSC_ADJUST;
          case TSC_AUX -> CpuFeature.RDTSCP;
          case TSC_DEADLINE -> CpuFeature.TSC_DEADLINE;
          case PKRS -> CpuFeature.PKS;
          case ARCH_CAPABILITIES, TSX_CTRL -> CpuFeature.RTM;
          case VM_CR, VM_HSAVE_PA -> CpuFeature.SVM;
          case U_CET, S_CET -> cpu.model.has(CpuFeature.IBT) ? CpuFeature.IBT : CpuFeature.SHSTK;
          case LEVEL_SSP, LEVEL_SSP + 1, LEVEL_SSP + 2, LAST_SSP, INTERRUPT_SSP_TABLE ->
              CpuFeature.SHSTK;
          case XSS -> CpuFeature.XSAVES;
          default -> null;
        };
    if (needed != null && !cpu.model.has(needed)) {
      throw cpu.gp();
    }
  }

  static long read(Processor cpu, int index) {
    checkFeature(cpu, index);
    if (cpu.hyperv != null && HypervInterface.owns(index)) {
      return cpu.hyperv.read(index);
    }
    if (cpu.apic.ownsMsr(index)) {
      OptionalLong value = cpu.apic.readMsr(index);
      if (value.isEmpty()) {
        throw cpu.gp();
      }
      return value.getAsLong();
    }
    int plain = plain(index);
    if (plain >= 0) {
      return getLong(cpu.state + plain);
    }
    return switch (index) {
      case TSC -> cpu.tsc();
      case APIC_BASE -> cpu.apic.apicBase();
      case EFER -> getLong(cpu.state + CpuState.EFER);
      // Eight variable ranges, fixed ranges, write-combining.
      case MTRR_CAP -> 0x508;
      case PATCH_LEVEL -> 0x0830_1055L;
      // The TSC counts at the P0 frequency.
      case HWCR -> 1 << 24;
      case NORTHBRIDGE_CONFIGURATION -> ENABLE_CF8_EXTENDED;
      case MCG_CAP, SYSCFG, 0x17 -> 0;
      case DEBUG_CTL -> getLong(cpu.state + CpuState.DEBUG_CTL);
      case PKRS -> getInt(cpu.state + CpuState.PKRS) & 0xffff_ffffL;
      case ARCH_CAPABILITIES -> CAPABILITIES;
      case TSX_CTRL -> getLong(cpu.state + CpuState.TSX_CTRL);
      case KVM_SYSTEM_TIME, KVM_SYSTEM_TIME_OLD -> getLong(cpu.state + CpuState.KVM_SYSTEM_TIME);
      case KVM_WALL_CLOCK, KVM_WALL_CLOCK_OLD -> getLong(cpu.state + CpuState.KVM_WALL_CLOCK);
      default -> {
        if (readsZero(index)) {
          yield 0;
        }
        throw cpu.gp();
      }
    };
  }

  /** Registers of real AMD processors that software reads without asking CPUID. */
  private static boolean readsZero(int index) {
    return switch (index) {
      // P-state, C-state and address-map registers; DE_CFG, LS_CFG, IC_CFG, BU_CFG2, OSVW;
      // microcode patch.
      case 0xc001_001a,
          0xc001_001d,
          0xc001_0055,
          0xc001_0058,
          0xc001_0061,
          0xc001_0062,
          0xc001_0063,
          0xc001_0064,
          0xc001_0118,
          0xc001_0140,
          0xc001_0141,
          0xc001_1020,
          0xc001_1021,
          0xc001_1022,
          0xc001_1023,
          0xc001_1029,
          0xc001_102a,
          0xc001_102c ->
          true;
      // Performance counters.
      case 0xc001_0000,
          0xc001_0001,
          0xc001_0002,
          0xc001_0003,
          0xc001_0004,
          0xc001_0005,
          0xc001_0006,
          0xc001_0007 ->
          true;
      default -> false;
    };
  }

  /** True if each byte is a memory type that there is. */
  static boolean legalPat(long value) {
    for (int i = 0; i < 8; i++) {
      int type = (int) (value >>> (8 * i)) & 0xff;
      if (type > 7 || type == 2 || type == 3) {
        return false;
      }
    }
    return true;
  }

  private static void writeVmCr(Processor cpu, long value) {
    long old = getLong(cpu.state + SvmState.VM_CR);
    boolean enabled = (getLong(cpu.state + CpuState.EFER) & Bits.EFER_SVME) != 0;
    if ((value & ~VM_CR_KNOWN) != 0 || enabled && (value & SVM_DISABLED) != 0) {
      throw cpu.gp();
    }
    long kept = (old & SVM_LOCK) != 0 ? SVM_LOCK | SVM_DISABLED : 0;
    putLong(cpu.state + SvmState.VM_CR, value & ~kept | old & kept);
  }

  static void write(Processor cpu, int index, long value) {
    checkFeature(cpu, index);
    if (cpu.hyperv != null && HypervInterface.owns(index)) {
      cpu.hyperv.write(index, value);
      return;
    }
    if (cpu.apic.ownsMsr(index)) {
      if (!cpu.apic.writeMsr(index, value)) {
        throw cpu.gp();
      }
      cpu.requestAttention();
      return;
    }
    switch (index) {
      case SYSENTER_ESP, SYSENTER_EIP, LSTAR, CSTAR, KERNEL_GS_BASE, FS_BASE, GS_BASE -> {
        if (!cpu.canonicalHere(value)) {
          throw cpu.gp();
        }
        putLong(cpu.state + plain(index), value);
      }
      case PAT -> {
        if (!legalPat(value)) {
          throw cpu.gp();
        }
        putLong(cpu.state + CpuState.PAT, value);
      }
      case TSC_AUX -> {
        if (value >>> 32 != 0) {
          throw cpu.gp();
        }
        putLong(cpu.state + CpuState.TSC_AUX, value);
      }
      case SFMASK -> putLong(cpu.state + CpuState.SFMASK, value & 0xffff_ffffL);
      // A guest reads its own time and writes its host's.
      case TSC ->
          setTscOffset(
              cpu,
              value - cpu.machine.clock().nanos() + getLong(cpu.state + SvmState.TSC_OFFSET),
              true);
      case VM_CR -> writeVmCr(cpu, value);
      case VM_HSAVE_PA -> {
        if ((value & 0xfff) != 0 || value >>> cpu.model.physicalBits() != 0) {
          throw cpu.gp();
        }
        putLong(cpu.state + SvmState.HOST_SAVE_AREA, value);
      }
      case TSC_ADJUST -> {
        long delta = value - getLong(cpu.state + CpuState.TSC_ADJUST);
        setTscOffset(cpu, getLong(cpu.state + CpuState.TSC_OFFSET) + delta, true);
      }
      case APIC_BASE -> {
        boolean unknown = (value & APIC_BASE_X2APIC) != 0 && !cpu.model.has(CpuFeature.X2APIC);
        if (unknown || !cpu.apic.setApicBase(value)) {
          throw cpu.gp();
        }
        cpu.flushAll();
        cpu.requestAttention();
      }
      case EFER -> ControlRegisters.writeEfer(cpu, value);
      case PKRS -> {
        if (value >>> 32 != 0) {
          throw cpu.gp();
        }
        ProtectionKeys.writeSupervisors(cpu, (int) value);
      }
      case TSX_CTRL -> {
        if ((value & ~(Transaction.DISABLED | Transaction.HIDDEN)) != 0) {
          throw cpu.gp();
        }
        putLong(cpu.state + CpuState.TSX_CTRL, value);
        CpuidAnswers.forget(cpu);
      }
      case U_CET, S_CET -> ControlFlow.write(cpu, plain(index), value);
      case LEVEL_SSP, LEVEL_SSP + 1, LEVEL_SSP + 2, LAST_SSP, INTERRUPT_SSP_TABLE ->
          ControlFlow.writePointer(cpu, plain(index), value);
      case XSS -> SupervisorState.enable(cpu, value);
      case PATCH_LEVEL, HWCR, NORTHBRIDGE_CONFIGURATION, SYSCFG, MCG_CAP, 0xc001_0020, 0x79 -> {
        // Accepted, no effect: microcode, and switches of hardware that is not there.
      }
      case DEBUG_CTL -> {
        if ((value & ~0x3fL) != 0) {
          throw cpu.gp();
        }
        putLong(cpu.state + CpuState.DEBUG_CTL, value);
        cpu.requestAttention();
      }
      case KVM_SYSTEM_TIME, KVM_SYSTEM_TIME_OLD -> {
        putLong(cpu.state + CpuState.KVM_SYSTEM_TIME, value);
        ParavirtualClock.systemTime(cpu, value);
      }
      case KVM_WALL_CLOCK, KVM_WALL_CLOCK_OLD -> {
        putLong(cpu.state + CpuState.KVM_WALL_CLOCK, value);
        ParavirtualClock.wallClock(cpu, value);
      }
      case LAST_BRANCH, LAST_BRANCH + 1, LAST_BRANCH + 2, LAST_BRANCH + 3 -> throw cpu.gp();
      default -> {
        int plain = plain(index);
        if (plain >= 0) {
          checkMtrr(cpu, index, value);
          putLong(cpu.state + plain, value);
        } else if (!readsZero(index)) {
          throw cpu.gp();
        }
      }
    }
  }

  private static void checkMtrr(Processor cpu, int index, long value) {
    long high = -1L << cpu.model.physicalBits();
    boolean bad = false;
    if (index >= MTRR_VARIABLE && index < MTRR_VARIABLE + 16) {
      bad = (value & high) != 0 || (index & 1) == 0 && badType((int) value & 0xff);
    } else if (index == MTRR_DEF_TYPE) {
      bad = (value & ~0xcffL) != 0 || badType((int) value & 0xff);
    } else if (fixedMtrr(index) >= 0) {
      for (int i = 0; i < 8; i++) {
        bad |= badType((int) (value >>> (8 * i)) & 0x7);
      }
    }
    if (bad) {
      throw cpu.gp();
    }
  }

  private static boolean badType(int type) {
    return type != 0 && type != 1 && type != 4 && type != 5 && type != 6;
  }

  /** Moves the vCPU's TSC; TSC_ADJUST follows, as the SDM (volume 3, 18.17.3) says. */
  private static void setTscOffset(Processor cpu, long offset, boolean adjust) {
    long old = getLong(cpu.state + CpuState.TSC_OFFSET);
    putLong(cpu.state + CpuState.TSC_OFFSET, offset);
    if (adjust && cpu.model.has(CpuFeature.TSC_ADJUST)) {
      putLong(
          cpu.state + CpuState.TSC_ADJUST, getLong(cpu.state + CpuState.TSC_ADJUST) + offset - old);
    }
    cpu.apic.setTscOffset(offset - getLong(cpu.state + SvmState.TSC_OFFSET));
    if (cpu.hyperv != null) {
      cpu.hyperv.timeMoved();
    }
    if ((getLong(cpu.state + CpuState.KVM_SYSTEM_TIME) & 1) != 0) {
      ParavirtualClock.systemTime(cpu, getLong(cpu.state + CpuState.KVM_SYSTEM_TIME));
    }
  }
}
