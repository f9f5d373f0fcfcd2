package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * Shadow stacks as calls, returns and events use them: Intel SDM volume 1, section 18.2, and the
 * operations of CALL, RET, IRET, INT n, SYSCALL and their kin in volume 2; AMD64 APM volume 2,
 * chapter 18.
 *
 * <p>What may fault is done before SSP or a register changes; stores that were made stay.
 */
final class ShadowStack {
  /** Of a supervisor's token: some processor uses its stack. */
  static final long BUSY = 1;

  /** Bytes of CS, linear address and SSP. */
  static final int FRAME = 24;

  private ShadowStack() {}

  static boolean on(Processor cpu) {
    return (cpu.blockMode & ControlFlow.MODE_SHADOW) != 0;
  }

  static boolean on(Processor cpu, int cpl) {
    return cpu.enforces(cpl, ControlFlow.SHADOW_STACK);
  }

  static long pointer(Processor cpu) {
    return getLong(cpu.state + CpuState.SSP);
  }

  static void setPointer(Processor cpu, long value) {
    putLong(cpu.state + CpuState.SSP, value);
  }

  static long levelPointer(Processor cpu, int cpl) {
    return getLong(cpu.state + CpuState.LEVEL_SSP + 8L * cpl);
  }

  /** 64-bit code: addresses have 64 bits; else they are below 4 GiB. */
  static boolean wide(Processor cpu) {
    return cpu.codeBits == 64;
  }

  // Near calls and returns.

  /** Bytes of an entry for a near call with that operand size. */
  private static int entrySize(int operandSize) {
    return operandSize == 8 ? 8 : 4;
  }

  static void push(Processor cpu, int operandSize, long value) {
    int size = entrySize(operandSize);
    long ssp = pointer(cpu) - size;
    ShadowMemory.store(cpu, ssp, size, value, cpu.cpl == 3);
    setPointer(cpu, ssp);
  }

  /** What RET must find, with SSP behind it: #CP if that is not {@code target}. */
  static void pop(Processor cpu, int operandSize, long target) {
    int size = entrySize(operandSize);
    long ssp = pointer(cpu);
    if (ShadowMemory.load(cpu, ssp, size, cpu.cpl == 3) != target) {
      throw cpu.raise(GuestFault.CP, ControlFlow.NEAR_RETURN);
    }
    setPointer(cpu, ssp + size);
  }

  // Far ones.

  /** The linear address of offset {@code rip} in the present code segment. */
  static long linear(Processor cpu, long rip) {
    return cpu.codeBits == 64 ? rip : cpu.segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
  }

  /** The same in a segment with that descriptor. */
  private static long linear(Processor cpu, long rip, long descriptor) {
    return toLong(cpu, descriptor) ? rip : Descriptor.base(descriptor) + rip & 0xffff_ffffL;
  }

  private static boolean toLong(Processor cpu, long descriptor) {
    return cpu.longMode && (Descriptor.attributes(descriptor) & Descriptor.LONG) != 0;
  }

  private static void requireReach(Processor cpu, long ssp, boolean toLong) {
    if (toLong ? !cpu.canonical(ssp) : ssp >>> 32 != 0) {
      throw cpu.gp();
    }
  }

  /**
   * Writes the frame of a far call or event below {@code top}; where SSP is then.
   *
   * @param from what the frame says SSP was
   */
  static long pushFrame(Processor cpu, long top, long cs, long linear, long from, boolean user) {
    long ssp = (top & ~7L) - FRAME;
    ShadowMemory.probe(cpu, ssp, 8, user);
    ShadowMemory.store(cpu, top - 4, 4, 0, user);
    ShadowMemory.store(cpu, ssp + 16, 8, cs, user);
    ShadowMemory.store(cpu, ssp + 8, 8, linear, user);
    ShadowMemory.store(cpu, ssp, 8, from, user);
    return ssp;
  }

  /** The frame is {@code cs} and {@code linear}: where SSP was before it. */
  private static long popFrame(Processor cpu, long cs, long linear) {
    long ssp = pointer(cpu);
    boolean user = cpu.cpl == 3;
    long from = ShadowMemory.load(cpu, ssp, 8, user);
    if (ShadowMemory.load(cpu, ssp + 16, 8, user) != cs
        || ShadowMemory.load(cpu, ssp + 8, 8, user) != linear
        || (from & 3) != 0) {
      throw cpu.raise(GuestFault.CP, ControlFlow.FAR_RETURN);
    }
    return from;
  }

  /** A far jump within the level, to a segment with that descriptor. */
  static void jump(Processor cpu, long descriptor) {
    if (on(cpu) && !toLong(cpu, descriptor)) {
      requireReach(cpu, pointer(cpu), false);
    }
  }

  /**
   * A far call within the level, to a segment with that descriptor: SSP as it will be.
   *
   * @param returnTo the offset behind the call
   */
  static long call(Processor cpu, long descriptor, long returnTo) {
    long ssp = pointer(cpu);
    if (!on(cpu)) {
      return ssp;
    }
    jump(cpu, descriptor);
    int cs = cpu.segmentSelector(CpuState.CS);
    return pushFrame(cpu, ssp, cs, linear(cpu, returnTo), ssp, cpu.cpl == 3);
  }

  /**
   * A call through a gate, or an event, from the present level to one further in: SSP as it will
   * be.
   *
   * @param top the new stack's
   * @param rip the offset that will be returned to
   */
  private static long inner(Processor cpu, long top, int cpl, int oldCpl, long rip, boolean wide) {
    take(cpu, top, wide, false);
    if (oldCpl == 3) {
      return top;
    }
    long cs = cpu.segmentSelector(CpuState.CS);
    return pushFrame(cpu, top, cs, linear(cpu, rip), pointer(cpu), cpl == 3);
  }

  /** Makes the token at {@code top} busy; #GP(0) if it is, or is none. */
  static void take(Processor cpu, long top, boolean wide, boolean user) {
    if ((top & 7) != 0 || (top & ~31L) != (top - FRAME & ~31L) || !wide && top >>> 32 != 0) {
      throw cpu.gp();
    }
    if (ShadowMemory.exchange(cpu, top, top, top | BUSY, user) != top) {
      throw cpu.gp();
    }
  }

  /** Through a call gate to level {@code cpl}, which is further in. */
  static long callInner(Processor cpu, int cpl, long returnTo) {
    return on(cpu, cpl)
        ? inner(cpu, levelPointer(cpu, cpl), cpl, cpu.cpl, returnTo, cpu.longMode)
        : pointer(cpu);
  }

  /**
   * An event from level {@code oldCpl} to {@code cpl}, which is not further out: SSP as it will be.
   *
   * @param ist of the gate, 0 for none
   */
  static long event(Processor cpu, int oldCpl, int cpl, int ist) {
    long ssp = pointer(cpu);
    if (!on(cpu, cpl)) {
      return ssp;
    }
    long rip = getLong(cpu.ripAt);
    long top = ssp;
    if (ist != 0) {
      long table = getLong(cpu.state + CpuState.INTERRUPT_SSP_TABLE);
      top = cpu.loadSystem(table + 8L * ist, 8);
    } else if (cpl != oldCpl) {
      top = levelPointer(cpu, cpl);
    }
    if (cpl != oldCpl) {
      return inner(cpu, top, cpl, oldCpl, rip, cpu.longMode);
    }
    if (ist != 0) {
      take(cpu, top, true, false);
    }
    int cs = cpu.segmentSelector(CpuState.CS);
    return pushFrame(cpu, top, cs, linear(cpu, rip), ssp, cpl == 3);
  }

  /** The level changes from {@code oldCpl} inwards: user code's pointer is kept for it. */
  static void leaveUser(Processor cpu, int oldCpl) {
    if (oldCpl == 3 && on(cpu, 3)) {
      keep(cpu);
    }
  }

  /** The pointer becomes user code's; one behind the last address that there is wraps around. */
  private static void keep(Processor cpu) {
    long ssp = pointer(cpu);
    int spare = cpu.fiveLevels() ? 7 : 16;
    putLong(cpu.state + CpuState.LEVEL_SSP + 8 * 3, cpu.longMode ? ssp << spare >> spare : ssp);
  }

  /**
   * RETF or IRET to a segment with that selector and descriptor, at its level or further out: SSP
   * as it will be.
   */
  static long farReturn(Processor cpu, int selector, long descriptor, long rip, boolean interrupt) {
    long ssp = pointer(cpu);
    int cpl = selector & 3;
    boolean was = on(cpu);
    if (was && (ssp & 7) != 0) {
      throw cpu.raise(GuestFault.CP, ControlFlow.FAR_RETURN);
    }
    boolean outer = cpl != cpu.cpl;
    long old = ssp;
    long next = ssp;
    if (was && !(outer && cpl == 3)) {
      next = popFrame(cpu, selector & 0xffff, linear(cpu, rip, descriptor));
      old = ssp + FRAME;
    }
    if (on(cpu, cpl)) {
      next = outer && cpl == 3 ? levelPointer(cpu, 3) : next;
      requireReach(cpu, next, toLong(cpu, descriptor));
    }
    // From an interrupt's own stack at the same level, too.
    if (was && (outer || interrupt && cpu.longMode && next != old)) {
      free(cpu, old);
    }
    return next;
  }

  /** To virtual-8086 mode. */
  static void returnToVirtual8086(Processor cpu) {
    if (on(cpu)) {
      long ssp = pointer(cpu);
      if ((ssp & 7) != 0) {
        throw cpu.raise(GuestFault.CP, ControlFlow.FAR_RETURN);
      }
      free(cpu, ssp);
    }
  }

  /** Makes the token of a stack of the present level free, if there is one. */
  static void free(Processor cpu, long token) {
    ShadowMemory.exchange(cpu, token, token | BUSY, token, cpu.cpl == 3);
  }

  // Fast system calls.

  /** SYSCALL and SYSENTER have not changed the level yet. */
  static void systemCall(Processor cpu) {
    if (on(cpu)) {
      keep(cpu);
    }
    if (on(cpu, 0)) {
      setPointer(cpu, 0);
    }
  }

  /** SYSRET and SYSEXIT have gone to user code. */
  static void systemReturn(Processor cpu) {
    if (on(cpu)) {
      setPointer(cpu, levelPointer(cpu, 3));
    }
  }
}
