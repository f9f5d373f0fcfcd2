package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuFeature;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.decode.Instruction;
import dev.bothy.x86.decode.Op;

/**
 * Control-flow enforcement: U_CET and S_CET, and the tracking of indirect branches; Intel SDM
 * volume 1, chapter 18 (17 in older editions). {@link ShadowStack} has the other half.
 *
 * <p>What is on is part of a block's mode, so that code for which nothing is on does not look.
 */
final class ControlFlow {
  // Error codes of #CP.
  static final int NEAR_RETURN = 1;
  static final int FAR_RETURN = 2;
  static final int MISSING_TARGET = 3;
  static final int RESTORE = 4;
  static final int SET_BUSY = 5;

  // Bits of U_CET and S_CET.
  static final long SHADOW_STACK = 1;
  static final long SHADOW_STORES = 1 << 1;
  static final long TRACKING = 1 << 2;
  private static final long LEGACY = 1 << 3;
  private static final long NO_TRACK = 1 << 4;
  private static final long KEEP_TRACKING = 1 << 5;
  static final long SUPPRESSED = 1 << 10;

  /** The next instruction must be ENDBR64, in 64-bit code, or else ENDBR32. */
  static final long WAITING = 1 << 11;

  private static final long LEGACY_MAP = ~0xfffL;

  // Bits of SegmentingCpu.blockMode.

  /** A shadow stack is in use. */
  static final int MODE_SHADOW = 0x10;

  /** Indirect branches are tracked. */
  static final int MODE_TRACKED = 0x20;

  /** And the last one has not reached its target. */
  static final int MODE_WAITING = 0x40;

  private ControlFlow() {}

  /** Where the register for {@code cpl} is in the state: U_CET or S_CET. */
  static int register(int cpl) {
    return cpl == 3 ? CpuState.U_CET : CpuState.S_CET;
  }

  /** What that says to a block's mode. */
  static int mode(long control) {
    return ((control & SHADOW_STACK) != 0 ? MODE_SHADOW : 0)
        | ((control & TRACKING) != 0 ? MODE_TRACKED : 0)
        | ((control & (TRACKING | WAITING)) == (TRACKING | WAITING) ? MODE_WAITING : 0);
  }

  /** True if the processor has any of it. */
  static boolean known(CpuModel model) {
    return model.has(CpuFeature.SHSTK) || model.has(CpuFeature.IBT);
  }

  /** True if {@code value} may be in U_CET or S_CET. */
  static boolean legal(Processor cpu, long value) {
    long bits = 0;
    if (cpu.model.has(CpuFeature.SHSTK)) {
      bits |= SHADOW_STACK | SHADOW_STORES;
    }
    if (cpu.model.has(CpuFeature.IBT)) {
      bits |= TRACKING | LEGACY | NO_TRACK | KEEP_TRACKING | SUPPRESSED | WAITING | LEGACY_MAP;
    }
    return (value & ~bits) == 0
        && (value & (SUPPRESSED | WAITING)) != (SUPPRESSED | WAITING)
        && cpu.canonicalHere(value & LEGACY_MAP);
  }

  /** Writes U_CET or S_CET, at {@code offset} in the state; #GP(0) for what may not be there. */
  static void write(Processor cpu, int offset, long value) {
    if (!legal(cpu, value)) {
      throw cpu.gp();
    }
    putLong(cpu.state + offset, value);
    cpu.updateEnforcement();
  }

  /**
   * Writes one of the registers that hold a shadow stack's pointer, or the table of them; #GP(0)
   * for what is no address of one.
   */
  static void writePointer(Processor cpu, int offset, long value) {
    boolean table = offset == CpuState.INTERRUPT_SSP_TABLE;
    if (table ? !cpu.canonicalHere(value) : !isPointer(cpu, value)) {
      throw cpu.gp();
    }
    putLong(cpu.state + offset, value);
  }

  /** True if a shadow stack's pointer may be {@code value}. */
  static boolean isPointer(Processor cpu, long value) {
    return cpu.canonicalHere(value) && (value & 3) == 0;
  }

  /** True if something would be enforced of user code, which virtual-8086 mode does not have. */
  static boolean forUser(Processor cpu) {
    long control = getLong(cpu.state + CpuState.U_CET);
    return cpu.enforces() && (control & (SHADOW_STACK | TRACKING)) != 0;
  }

  // Tracking.

  private static boolean on(Processor cpu, int cpl) {
    return cpu.enforces(cpl, TRACKING);
  }

  /** The near branch under way has been indirect; its target comes next. */
  static void branched(Processor cpu, Instruction i) {
    if ((cpu.blockMode & MODE_TRACKED) == 0 || i.kind[0] == Instruction.RELATIVE) {
      return;
    }
    long at = cpu.state + register(cpu.cpl);
    long control = getLong(at);
    if ((control & SUPPRESSED) == 0 && !(i.noTrack && (control & NO_TRACK) != 0)) {
      putLong(at, control | WAITING);
      cpu.updateControlFlow();
    }
  }

  /** Indirect branches of code at the present level are not tracked, though they would be. */
  static boolean isSuppressed(Processor cpu) {
    return (getLong(cpu.state + register(cpu.cpl)) & (TRACKING | SUPPRESSED))
        == (TRACKING | SUPPRESSED);
  }

  /** A far call, an event or the like has led to code at the present level. */
  static void entered(Processor cpu) {
    if (on(cpu, cpu.cpl)) {
      long at = cpu.state + register(cpu.cpl);
      putLong(at, getLong(at) & ~SUPPRESSED | WAITING);
      cpu.updateControlFlow();
    }
  }

  /**
   * The end of a block that begins where a target of indirect branches has to be, or null if {@code
   * i} is as good there as elsewhere.
   *
   * @param i the first instruction; null for what is none
   */
  static End target(Instruction i) {
    if (i != null && (i.op == Op.INT3 || i.op == Op.INT1)) {
      return null;
    }
    boolean is = i != null && i.op == (i.mode == 64 ? Op.ENDBR64 : Op.ENDBR32);
    return is ? new Target(i.length) : MISSING;
  }

  /** ENDBR32 or ENDBR64. */
  private static final class Target extends End {
    private final int length;

    Target(int length) {
      this.length = length;
    }

    @Override
    Block run(Processor cpu) {
      found(cpu);
      putLong(cpu.ripAt, cpu.wrapRip(getLong(cpu.ripAt) + length));
      return null;
    }
  }

  /** The target has been reached. */
  static void found(Processor cpu) {
    long at = cpu.state + register(cpu.cpl);
    putLong(at, getLong(at) & ~WAITING);
    cpu.updateControlFlow();
  }

  private static final End MISSING =
      new End() {
        @Override
        Block run(Processor cpu) {
          if (!mayBeMissing(cpu)) {
            throw cpu.raise(GuestFault.CP, MISSING_TARGET);
          }
          long at = cpu.state + register(cpu.cpl);
          long control = getLong(at);
          long suppressed = (control & KEEP_TRACKING) == 0 ? SUPPRESSED : 0;
          putLong(at, control & ~WAITING | suppressed);
          cpu.updateControlFlow();
          // The same instruction in another mode.
          throw StopBlock.SIGNAL;
        }
      };

  /** Section 18.3.6: a bit for each page of code that is older than all this. */
  private static boolean mayBeMissing(Processor cpu) {
    long control = getLong(cpu.state + register(cpu.cpl));
    if ((control & LEGACY) == 0) {
      return false;
    }
    long linear = getLong(cpu.ripAt);
    if (cpu.codeBits != 64) {
      linear = cpu.segmentBase(CpuState.CS) + linear & 0xffff_ffffL;
    }
    int bits = cpu.fiveLevels() ? 57 : 48;
    long at = (control & LEGACY_MAP) + ((linear & (1L << bits) - 1) >>> 15);
    return (cpu.load8(cpu.longMode ? at : at & 0xffff_ffffL) >>> (int) (linear >>> 12 & 7) & 1)
        != 0;
  }
}
