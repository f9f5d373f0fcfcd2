package dev.bothy.core.cpu;

import static dev.bothy.host.RawMemory.getInt;
import static dev.bothy.host.RawMemory.getLong;

/** Registers and code bytes as text, for people. */
public final class RegisterText {
  private static final String[] NAMES = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12",
    "R13", "R14", "R15"
  };
  private static final String[] SEGMENTS = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
  private static final int CODE = 16;
  private static final long CR0_PE = 1;
  private static final long CR4_CET = 1 << 23;
  private static final int RFLAGS_VM = 1 << 17;

  private RegisterText() {}

  /**
   * Some lines, each with its end.
   *
   * @param state the address of the {@link CpuState} of a vCPU that does not run
   * @param index the vCPU's
   * @param code the bytes at RIP, as far as they are mapped; 16 are enough
   */
  public static String of(long state, int index, byte[] code) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < 16; i++) {
      out.append(NAMES[i]).append('=').append(hex(getLong(state + CpuState.GPR + 8L * i)));
      out.append(i % 4 == 3 ? '\n' : ' ');
    }
    out.append("RIP=").append(hex(getLong(state + CpuState.RIP)));
    out.append(" RFLAGS=").append(hex(getLong(state + CpuState.RFLAGS) & 0xffff_ffffL));
    out.append(" CPL=").append(privilege(state)).append(" vCPU ").append(index).append('\n');
    out.append("CR0=").append(hex(getLong(state + CpuState.CR0)));
    out.append(" CR2=").append(hex(getLong(state + CpuState.CR2)));
    out.append(" CR3=").append(hex(getLong(state + CpuState.CR3)));
    out.append(" CR4=").append(hex(getLong(state + CpuState.CR4)));
    out.append(" EFER=").append(hex(getLong(state + CpuState.EFER))).append('\n');
    if ((getLong(state + CpuState.CR4) & CR4_CET) != 0) {
      out.append("SSP=").append(hex(getLong(state + CpuState.SSP)));
      out.append(" U_CET=").append(hex(getLong(state + CpuState.U_CET)));
      out.append(" S_CET=").append(hex(getLong(state + CpuState.S_CET)));
      out.append(" PL0_SSP=").append(hex(getLong(state + CpuState.LEVEL_SSP))).append('\n');
    }
    for (int s = 0; s < SEGMENTS.length; s++) {
      long segment = state + CpuState.segment(s, 0);
      out.append(
          String.format(
              "%s=%04x base %x limit %x attributes %04x%s",
              SEGMENTS[s],
              getInt(segment + CpuState.SEGMENT_SELECTOR),
              getLong(segment + CpuState.SEGMENT_BASE),
              getInt(segment + CpuState.SEGMENT_LIMIT),
              getInt(segment + CpuState.SEGMENT_ATTRIBUTES),
              s % 2 == 1 ? "\n" : "; "));
    }
    out.append("IDTR base ").append(hex(getLong(state + CpuState.IDTR_BASE)));
    out.append(" limit ").append(Integer.toHexString(getInt(state + CpuState.IDTR_LIMIT)));
    out.append("; GDTR base ").append(hex(getLong(state + CpuState.GDTR_BASE)));
    out.append(" limit ").append(Integer.toHexString(getInt(state + CpuState.GDTR_LIMIT)));
    out.append("\ncode at RIP:");
    for (int i = 0; i < code.length && i < CODE; i++) {
      out.append(String.format(" %02x", code[i]));
    }
    if (code.length < CODE) {
      out.append(" (not mapped)");
    }
    return out.append('\n').toString();
  }

  private static int privilege(long state) {
    if ((getLong(state + CpuState.CR0) & CR0_PE) == 0) {
      return 0;
    }
    int stack = CpuState.segment(CpuState.SS, CpuState.SEGMENT_ATTRIBUTES);
    return (getLong(state + CpuState.RFLAGS) & RFLAGS_VM) != 0
        ? 3
        : getInt(state + stack) >>> 5 & 3;
  }

  private static String hex(long value) {
    return String.format("%016x", value);
  }
}
