package dev.bothy.x86.interpret;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;

import dev.bothy.core.cpu.CpuState;
import java.util.Arrays;

/** Registers and code bytes as text, for people. */
final class CpuReport {
  private static final String[] NAMES = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12",
    "R13", "R14", "R15"
  };
  private static final String[] SEGMENTS = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

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
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < 16; i++) {
      out.append(NAMES[i]).append('=').append(hex(cpu.gpr(i))).append(i % 4 == 3 ? '\n' : ' ');
    }
    out.append("RIP=").append(hex(getLong(cpu.ripAt)));
    out.append(" RFLAGS=").append(hex(cpu.rflags() & 0xffff_ffffL));
    out.append(" CPL=").append(cpu.cpl).append(" vCPU ").append(cpu.index).append('\n');
    out.append("CR0=").append(hex(getLong(cpu.state + CpuState.CR0)));
    out.append(" CR2=").append(hex(getLong(cpu.state + CpuState.CR2)));
    out.append(" CR3=").append(hex(getLong(cpu.state + CpuState.CR3)));
    out.append(" CR4=").append(hex(getLong(cpu.state + CpuState.CR4)));
    out.append(" EFER=").append(hex(getLong(cpu.state + CpuState.EFER))).append('\n');
    for (int s = 0; s < SEGMENTS.length; s++) {
      out.append(
          String.format(
              "%s=%04x base %x limit %x attributes %04x%s",
              SEGMENTS[s],
              cpu.segmentSelector(s),
              cpu.segmentBase(s),
              cpu.segmentLimit(s),
              cpu.segmentAttributes(s),
              s % 2 == 1 ? "\n" : "; "));
    }
    out.append("IDTR base ").append(hex(getLong(cpu.state + CpuState.IDTR_BASE)));
    out.append(" limit ").append(Integer.toHexString(getInt(cpu.state + CpuState.IDTR_LIMIT)));
    out.append("; GDTR base ").append(hex(getLong(cpu.state + CpuState.GDTR_BASE)));
    out.append(" limit ")
        .append(Integer.toHexString(getInt(cpu.state + CpuState.GDTR_LIMIT)))
        .append('\n');
    out.append("code at RIP:");
    byte[] code = code(cpu, 16);
    for (byte value : code) {
      out.append(String.format(" %02x", value));
    }
    if (code.length < 16) {
      out.append(" (not mapped)");
    }
    return out.append('\n').toString();
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
      } catch (GuestFault f) {
        return Arrays.copyOf(bytes, i);
      }
    }
    return bytes;
  }

  private static String hex(long value) {
    return String.format("%016x", value);
  }
}
