package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.core.cpu.RegisterText;
import java.util.Arrays;

/** Registers and code bytes as text, for people. */
final class CpuReport {
  private static final int FRAMES = 16;

  private CpuReport() {}

  /**
   * What went wrong inside the interpreter, where, and the registers as far as they can still be
   * told.
   */
  static String ofFailure(Processor cpu, Throwable failure) {
    StringBuilder out = new StringBuilder("the interpreter failed: ").append(failure).append('\n');
    StackTraceElement[] frames = failure.getStackTrace();
    for (int i = 0; i < frames.length && i < FRAMES; i++) {
      out.append("  at ").append(frames[i]).append('\n');
    }
    try {
      cpu.settle();
      out.append(of(cpu));
    } catch (RuntimeException e) {
      out.append("no registers: ").append(e).append('\n');
    }
    return out.toString();
  }

  static String of(Processor cpu) {
    StateTransfer.store(cpu);
    return RegisterText.of(cpu.state, cpu.index, code(cpu, 16));
  }

  /** The bytes at RIP, up to {@code most}, as far as they are mapped. */
  static byte[] code(Processor cpu, int most) {
    byte[] bytes = new byte[most];
    long rip = getLong(cpu.ripAt);
    long linear = cpu.codeBits == 64 ? rip : cpu.segmentBase(CpuState.CS) + rip & 0xffff_ffffL;
    for (int i = 0; i < most; i++) {
      try {
        long physical = cpu.translate(linear + i, PagingCpu.FETCH);
        bytes[i] = (byte) cpu.memory.readByte(physical);
      } catch (GuestFault | VirtualExit f) {
        return Arrays.copyOf(bytes, i);
      }
    }
    return bytes;
  }
}
