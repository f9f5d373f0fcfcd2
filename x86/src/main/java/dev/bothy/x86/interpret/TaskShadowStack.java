package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * What becomes of the shadow stack in a switch of tasks: Intel SDM volume 1, section 18.2, and
 * volume 3, section 8.3. A TSS says where its task's stack begins, at a supervisor's token even if
 * the task is user code. No SSP is written there: that of a task which nests another one is in a
 * frame on the other's stack, and user code's is PL3_SSP if the other task is the supervisor's.
 */
final class TaskShadowStack {
  /** Where the TSS has SSP, in 32 bits. */
  private static final int PLACE = 0x68;

  /** The last byte that a TSS has with it. */
  static final int LAST = PLACE + 3;

  private static final long USER_POINTER = CpuState.LEVEL_SSP + 8 * 3;

  private final Processor cpu;
  private final boolean returns;

  /** The new task's, from its TSS. */
  private final long top;

  // The frame to push on the new stack, or that was found on the old one.
  private boolean framed;
  private long cs;
  private long linear;
  private long from;

  /** Of the old task's stack: its token, if {@link #frees}. */
  private long token;

  private boolean frees;

  /** The old task is user code whose pointer PL3_SSP takes. */
  private boolean keeps;

  /** SSP comes from {@link #from}. */
  private boolean restores;

  /** True if tasks must have what is looked at here. */
  static boolean required(Processor cpu) {
    return (getLong(cpu.state + CpuState.CR4) & Bits.CR4_CET) != 0;
  }

  private TaskShadowStack(Processor cpu, boolean returns, long tss) {
    this.cpu = cpu;
    this.returns = returns;
    top = returns ? 0 : cpu.loadSystem(tss + PLACE & 0xffff_ffffL, 4);
  }

  /**
   * Looks at both tasks, and raises what the old one does wrong before anything has changed.
   *
   * @param returns by IRET
   * @param nested by a call or an event
   * @param tss the new task's
   * @param pointer where the old task goes on
   * @param cpl the new task's
   */
  static TaskShadowStack of(
      Processor cpu, boolean returns, boolean nested, long tss, long pointer, int cpl) {
    if (!required(cpu)) {
      return null;
    }
    TaskShadowStack it = new TaskShadowStack(cpu, returns, tss);
    if (returns) {
      it.prepareReturn(cpl);
    } else if (nested && ShadowStack.on(cpu)) {
      it.keeps = cpu.cpl == 3 && cpl < 3;
      it.framed = !it.keeps;
      it.cs = cpu.segmentSelector(CpuState.CS);
      it.linear = ShadowStack.linear(cpu, pointer);
      it.from = ShadowStack.pointer(cpu);
    }
    return it;
  }

  private void prepareReturn(int cpl) {
    boolean toUser = cpl == 3 && cpu.cpl != 3;
    from = toUser ? getLong(cpu.state + USER_POINTER) : ShadowStack.pointer(cpu);
    restores = toUser;
    if (!ShadowStack.on(cpu)) {
      return;
    }
    long ssp = ShadowStack.pointer(cpu);
    if ((ssp & 7) != 0) {
      throw wrongReturn();
    }
    boolean user = cpu.cpl == 3;
    if (!toUser) {
      framed = true;
      restores = true;
      from = ShadowMemory.load(cpu, ssp, 8, user);
      linear = ShadowMemory.load(cpu, ssp + 8, 8, user);
      cs = ShadowMemory.load(cpu, ssp + 16, 8, user);
      ssp += ShadowStack.FRAME;
    }
    token = ssp;
    frees = true;
    ShadowMemory.probe(cpu, token, 8, user);
  }

  private GuestFault wrongReturn() {
    return cpu.raise(GuestFault.CP, ControlFlow.FAR_RETURN);
  }

  /** The old task ends; the level is still its own. */
  void end() {
    if (keeps) {
      putLong(cpu.state + USER_POINTER, from);
    }
    if (frees) {
      ShadowStack.free(cpu, token);
      ShadowStack.setPointer(cpu, 0);
    }
  }

  /**
   * The new task has its segments and its level; faults are its own.
   *
   * @param ext of error codes
   */
  void begin(int ext) {
    int tr = cpu.segmentSelector(CpuState.TR) & 0xfffc | ext;
    if (cpu.virtual8086() && ControlFlow.forUser(cpu)) {
      throw cpu.raise(GuestFault.TS, tr);
    }
    boolean on = ShadowStack.on(cpu);
    if (returns) {
      if (framed
              && (cs != cpu.segmentSelector(CpuState.CS)
                  || linear != ShadowStack.linear(cpu, getLong(cpu.ripAt)))
          || on && ((from & 3) != 0 || from >>> 32 != 0)) {
        throw wrongReturn();
      }
      if (on && restores) {
        ShadowStack.setPointer(cpu, from);
      }
      return;
    }
    if (on) {
      if ((top & 7) != 0) {
        throw cpu.raise(GuestFault.TS, tr);
      }
      boolean user = cpu.cpl == 3;
      ShadowStack.take(cpu, top, false, user);
      ShadowStack.setPointer(
          cpu, framed ? ShadowStack.pushFrame(cpu, top, cs, linear, from, user) : top);
    }
    ControlFlow.entered(cpu);
  }
}
