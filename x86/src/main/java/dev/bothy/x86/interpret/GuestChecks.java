package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.getShort;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuState;

/**
 * What VMRUN refuses to run, by #VMEXIT with code -1: AMD64 APM volume 2, sections 15.5.1, 15.11,
 * 15.20 and 15.25.4.
 */
final class GuestChecks {
  /** L and D of a code segment, as they are in a control block. */
  private static final int LONG = 1 << 9;

  private static final int BIG = 1 << 10;

  private static final int MSR_MAP_SIZE = 0x2000;
  private static final int PORT_MAP_SIZE = 0x3000;

  /** Vectors below 32 that are no exceptions: NMI and those that nothing raises. */
  private static final int NO_EXCEPTIONS =
      1 << GuestFault.NMI | 1 << 9 | 1 << 15 | 1 << 20 | 0x3f << 22 | 1 << 31;

  /**
   * Bits of a page-directory-pointer entry of legacy mode that must be zero, besides those that no
   * physical address has.
   */
  private static final long POINTER_RESERVED = 0x1e6;

  private GuestChecks() {}

  /** False if the guest of the control block at host address {@code block} cannot be. */
  static boolean legal(Processor cpu, long block) {
    return intercepts(block)
        && maps(cpu, block)
        && registers(cpu, block)
        && mode(cpu, block)
        && nesting(cpu, block)
        && event(getLong(block + ControlBlock.EVENT));
  }

  private static boolean intercepts(long block) {
    int word = getInt(block + ControlBlock.INTERCEPTS + VirtualExit.VMRUN / 32 * 4);
    return (word & 1 << VirtualExit.VMRUN % 32) != 0 && getInt(block + ControlBlock.ASID) != 0;
  }

  private static boolean physical(Processor cpu, long address) {
    return address >>> cpu.model.physicalBits() == 0;
  }

  /** The map of MSRs must be in RAM, too: what is not answers no questions. */
  private static boolean maps(Processor cpu, long block) {
    long ports = getLong(block + ControlBlock.PORT_MAP) & ~0xfffL;
    long msrs = getLong(block + ControlBlock.MSR_MAP) & ~0xfffL;
    boolean ported = intercepted(block, VirtualExit.PORT);
    boolean msred = intercepted(block, VirtualExit.MSR);
    return (!ported || physical(cpu, ports) && physical(cpu, ports + PORT_MAP_SIZE - 1))
        && (!msred || cpu.hostOf(msrs) != 0 && cpu.hostOf(msrs + MSR_MAP_SIZE - 1) != 0);
  }

  private static boolean intercepted(long block, int code) {
    return (getInt(block + ControlBlock.INTERCEPTS + (code >>> 5) * 4L) >>> (code & 31) & 1) != 0;
  }

  private static boolean registers(Processor cpu, long block) {
    long cr0 = getLong(block + ControlBlock.CR0);
    return cr0 >>> 32 == 0
        && (cr0 & (Bits.CR0_NW | Bits.CR0_CD)) != Bits.CR0_NW
        && physical(cpu, getLong(block + ControlBlock.CR3))
        && controlFlow(cpu, block)
        && (getLong(block + ControlBlock.CR4) & ~ControlRegisters.cr4Known(cpu.model)) == 0
        && (getLong(block + ControlBlock.EFER) & ~ControlRegisters.eferKnown(cpu.model)) == 0
        && (getLong(block + ControlBlock.EFER) & Bits.EFER_SVME) != 0
        && getLong(block + ControlBlock.DR6) >>> 32 == 0
        && getLong(block + ControlBlock.DR7) >>> 32 == 0;
  }

  private static boolean controlFlow(Processor cpu, long block) {
    boolean on = (getLong(block + ControlBlock.CR4) & Bits.CR4_CET) != 0;
    boolean virtual = (getLong(block + ControlBlock.RFLAGS) & Bits.VM) != 0;
    boolean shadowed = (getLong(cpu.state + CpuState.U_CET) & ControlFlow.SHADOW_STACK) != 0;
    return !on
        || (getLong(block + ControlBlock.CR0) & Bits.CR0_WP) != 0
            && !(virtual && shadowed)
            && ControlFlow.legal(cpu, getLong(block + ControlBlock.S_CET));
  }

  private static boolean mode(Processor cpu, long block) {
    long cr0 = getLong(block + ControlBlock.CR0);
    long cr4 = getLong(block + ControlBlock.CR4);
    boolean wide = (getLong(block + ControlBlock.EFER) & Bits.EFER_LME) != 0;
    boolean extended = (cr4 & Bits.CR4_PAE) != 0;
    if ((cr0 & Bits.CR0_PG) == 0) {
      return true;
    }
    if (!wide) {
      boolean nested = (getLong(block + ControlBlock.NESTED_CONTROL) & 1) != 0;
      return nested || !extended || pointers(cpu, getLong(block + ControlBlock.CR3));
    }
    int code = getShort(block + ControlBlock.CS + ControlBlock.ATTRIBUTES);
    return extended && (cr0 & Bits.CR0_PE) != 0 && (code & (LONG | BIG)) != (LONG | BIG);
  }

  /** The four entries that a processor without nested paging loads with CR3. */
  private static boolean pointers(Processor cpu, long cr3) {
    long reserved = -1L << cpu.model.physicalBits() | POINTER_RESERVED;
    for (int i = 0; i < 4; i++) {
      long host = cpu.hostOf((cr3 & 0xffff_ffe0L) + 8 * i);
      long entry = host == 0 ? -1 : getLong(host);
      if ((entry & 1) != 0 && (entry & reserved) != 0) {
        return false;
      }
    }
    return true;
  }

  private static boolean nesting(Processor cpu, long block) {
    if ((getLong(block + ControlBlock.NESTED_CONTROL) & 1) == 0) {
      return true;
    }
    return cpu.model.has(CpuFeature.NPT)
        && (getLong(cpu.state + CpuState.CR0) & Bits.CR0_PG) != 0
        && physical(cpu, getLong(block + ControlBlock.NESTED_CR3))
        && ModelSpecificRegisters.legalPat(getLong(block + ControlBlock.PAT));
  }

  private static boolean event(long event) {
    if ((event & Svm.VALID) == 0) {
      return true;
    }
    int vector = (int) event & 0xff;
    return switch ((int) (event >>> Svm.TYPE_SHIFT) & 7) {
      case Svm.TYPE_INTERRUPT, Svm.TYPE_NMI, Svm.TYPE_SOFTWARE -> true;
      case Svm.TYPE_EXCEPTION -> vector < 32 && (NO_EXCEPTIONS >>> vector & 1) == 0;
      default -> false;
    };
  }
}
