package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;
import static dev.bothy.host.RawMemory.putLong;

import dev.bothy.core.cpu.CpuState;

/**
 * The record of the last branch and of the last one before an exception or interrupt: AMD64 APM
 * volume 2, section 13.1.1.5. While it is on, instructions run one by one.
 */
final class BranchRecord {
  private static final int FROM = CpuState.LAST_BRANCH;
  private static final int TO = FROM + 8;
  private static final int EVENT_FROM = FROM + 16;
  private static final int EVENT_TO = FROM + 24;

  /** Of DEBUG_CTL. */
  private static final long RECORD = 1;

  private BranchRecord() {}

  static boolean on(Processor cpu) {
    return (getLong(cpu.state + CpuState.DEBUG_CTL) & RECORD) != 0;
  }

  /** An instruction at {@code from} of {@code length} bytes was executed. */
  static void ran(Processor cpu, long from, int length) {
    long to = getLong(cpu.ripAt);
    if (on(cpu) && to != cpu.wrapRip(from + length)) {
      note(cpu, from, to);
    }
  }

  /** What was at {@code from} was interrupted by the handler that RIP is at now. */
  static void interrupted(Processor cpu, long from) {
    if (on(cpu)) {
      putLong(cpu.state + EVENT_FROM, getLong(cpu.state + FROM));
      putLong(cpu.state + EVENT_TO, getLong(cpu.state + TO));
      note(cpu, from, getLong(cpu.ripAt));
    }
  }

  private static void note(Processor cpu, long from, long to) {
    putLong(cpu.state + FROM, from);
    putLong(cpu.state + TO, to);
  }

  /** A debug exception ends the recording. */
  static void end(Processor cpu) {
    long at = cpu.state + CpuState.DEBUG_CTL;
    putLong(at, getLong(at) & ~RECORD);
  }
}
