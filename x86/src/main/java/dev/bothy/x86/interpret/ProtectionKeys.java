package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putInt;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Protection keys: AMD64 APM volume 2, section 5.6.7 for those of user pages; Intel SDM volume 3,
 * section 4.6.2 also for those of supervisor pages. PKRU and PKRS have two bits for each of sixteen
 * keys: no access, and no writing.
 */
final class ProtectionKeys {
  /** Where an entry's key is. */
  private static final int SHIFT = 59;

  static final long KEY = 15L << SHIFT;

  private static final int NO_ACCESS = 1;
  private static final int NO_WRITING = 2;

  private ProtectionKeys() {}

  /** RDPKRU and WRPKRU. */
  static void execute(Processor cpu, Instruction i) {
    if ((getLong(cpu.state + CpuState.CR4) & Bits.CR4_PKE) == 0) {
      throw cpu.ud();
    }
    boolean write = i.op == Op.WRPKRU;
    if ((int) cpu.gpr(CpuState.RCX) != 0 || write && (int) cpu.gpr(CpuState.RDX) != 0) {
      throw cpu.gp();
    }
    if (write) {
      writeUsers(cpu, (int) cpu.gpr(CpuState.RAX));
    } else {
      cpu.setGpr32(CpuState.RAX, getInt(cpu.state + CpuState.PKRU));
      cpu.setGpr32(CpuState.RDX, 0);
    }
  }

  /** Sets PKRU, which TLB entries may depend on. Generated code does the same where none does. */
  static void writeUsers(PagingCpu cpu, int value) {
    int changed = getInt(cpu.state + CpuState.PKRU) ^ value;
    putInt(cpu.state + CpuState.PKRU, value);
    if ((changed & getInt(cpu.state + EngineArea.PAGE_KEYS)) != 0) {
      cpu.flushAll();
    }
  }

  /** Sets PKRS, which TLB entries depend on. */
  static void writeSupervisors(PagingCpu cpu, int value) {
    if (getInt(cpu.state + CpuState.PKRS) != value) {
      putInt(cpu.state + CpuState.PKRS, value);
      cpu.flushAll();
    }
  }

  /** A user page with that last entry may be in the TLB from now on, judged by PKRU. */
  static void notePage(PagingCpu cpu, long entry) {
    long at = cpu.state + EngineArea.PAGE_KEYS;
    putInt(at, getInt(at) | (NO_ACCESS | NO_WRITING) << shift(entry));
  }

  /** The TLB is empty. What generated code enters by itself has key 0. */
  static void forgetPages(PagingCpu cpu) {
    putInt(cpu.state + EngineArea.PAGE_KEYS, NO_ACCESS | NO_WRITING);
  }

  /** Where the bits of an entry's key are. */
  private static int shift(long entry) {
    return ((int) (entry >>> SHIFT) & 15) * 2;
  }

  /** True if that register, PKRU or PKRS, forbids something to pages with key 0. */
  static boolean restrictFirst(PagingCpu cpu, int register) {
    return (getInt(cpu.state + register) & (NO_ACCESS | NO_WRITING)) != 0;
  }

  /** What {@code rights}, PKRU or PKRS, keep from a page with that last entry: 0 if nothing. */
  private static int forbidden(int rights, long entry) {
    return rights >>> shift(entry) & 3;
  }

  /**
   * True if the page's key forbids the data access.
   *
   * @param protect writing is forbidden to this access: it is user code's, or CR0.WP is set
   */
  static boolean refuses(int rights, long entry, boolean write, boolean protect) {
    int forbidden = forbidden(rights, entry);
    return (forbidden & NO_ACCESS) != 0 || write && protect && (forbidden & NO_WRITING) != 0;
  }
}
