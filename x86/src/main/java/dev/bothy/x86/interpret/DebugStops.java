package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.Exit;
import dev.bothy.core.StopCause;
import dev.bothy.core.StopPoints;
import dev.bothy.core.cpu.CpuState;
import java.util.List;
import java.util.function.Supplier;

/**
 * What a debugger of the machine wants of one vCPU, and what the vCPU has met of it. The guest's
 * own debugging is {@link DebugRegisters}. Belongs to the vCPU's thread; what the debugger wants
 * changes while that stands.
 */
final class DebugStops {
  private final Processor cpu;
  private final Breakpoints breakpoints;

  /** Hears what happens, or null. */
  final ProcessorTrace trace;

  private List<StopPoints.Watchpoint> watchpoints = List.of();
  private boolean stepping;

  /** Why the vCPU is about to stop, or null. */
  private StopCause met;

  DebugStops(Processor cpu, Breakpoints breakpoints) {
    this.cpu = cpu;
    this.breakpoints = breakpoints;
    trace = ProcessorTrace.of(cpu, cpu.engine.trace);
  }

  // What the debugger wants.

  /**
   * Data accesses to stop behind.
   *
   * @param fetchAnew pages must be told to {@link Breakpoints#fetched} again
   */
  void stopAt(List<StopPoints.Watchpoint> points, boolean fetchAnew) {
    watchpoints = points;
    met = null;
    DebugRegisters.update(cpu);
    if (fetchAnew) {
      cpu.flushAll();
      if (cpu.translated != null) {
        cpu.translated.forgetJumps();
      }
    }
  }

  boolean watches() {
    return !watchpoints.isEmpty();
  }

  boolean watchesPage(long linear) {
    for (StopPoints.Watchpoint point : watchpoints) {
      if (point.onPage(linear)) {
        return true;
      }
    }
    return false;
  }

  /** See {@link dev.bothy.core.Vcpu#step}; {@code run} runs one instruction. */
  Exit step(Supplier<Exit> run) {
    stepping = true;
    try {
      Exit exit = run.get();
      return exit instanceof Exit.BudgetSpent ? new Exit.DebugStop(new StopCause.Stepped()) : exit;
    } finally {
      stepping = false;
    }
  }

  /** Interrupts are to wait for the end of a step. */
  boolean holdsInterrupts() {
    return stepping && getInt(cpu.state + CpuState.ACTIVITY) == CpuState.ACTIVITY_RUNNING;
  }

  /** The instruction at RIP is about to run: true if each is told of, so that it is run alone. */
  boolean traced() {
    if (trace == null || !trace.instructions) {
      return false;
    }
    trace.instruction();
    return true;
  }

  // What the vCPU meets.

  private void meet(StopCause cause) {
    met = cause;
    cpu.setAttention(CpuState.ATTENTION_ENGINE);
  }

  /** Between two instructions: the exit if the vCPU is to stop, else null. */
  Exit take() {
    if (met == null) {
      return null;
    }
    StopCause cause = met;
    met = null;
    return new Exit.DebugStop(cause);
  }

  /** Before the instruction at RIP, in code that was found to have a breakpoint there. */
  private void reached() {
    long rip = getLong(cpu.ripAt);
    long linear = cpu.codeBits == 64 ? rip : cpu.segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
    if (!stepping && breakpoints.stopsAt(linear)) {
      meet(new StopCause.Breakpoint(linear));
      throw StopBlock.SIGNAL;
    }
  }

  void accessed(long linear, int size, boolean write) {
    for (StopPoints.Watchpoint point : watchpoints) {
      if ((write ? point.writes() : point.reads()) && point.touches(linear, size)) {
        // Further accesses of the same instruction do not hide the first.
        if (met == null) {
          meet(
              new StopCause.Watched(
                  point, linear - point.address() > 0 ? linear : point.address()));
        }
        cpu.stopAfterThis();
      }
    }
  }

  /** The instruction under way has not happened. */
  void faulted() {
    met = null;
    if (stepping) {
      meet(new StopCause.Stepped());
    }
  }

  // What stands before an instruction at which a vCPU may stop; it is the first of its block.

  static Node before(Node instruction) {
    return new Node() {
      @Override
      void run(Processor cpu) {
        cpu.debug.reached();
        instruction.run(cpu);
      }
    };
  }

  static End before(End instruction) {
    return new End() {
      @Override
      Block run(Processor cpu) {
        cpu.debug.reached();
        return instruction.run(cpu);
      }
    };
  }
}
