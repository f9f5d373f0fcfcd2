package dev.bothy.x86.verify;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.host.RawMemory;
import java.util.ArrayList;
import java.util.List;

/** The fields of two processors' states side by side, for comparing and for people. */
final class Registers {
  /** A field of the state: where and how long. */
  private record Field(String name, int offset, int size) {}

  private static final String[] GENERAL = {
    "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13",
    "R14", "R15"
  };

  private static final List<Field> FIELDS = fields();

  private Registers() {}

  private static List<Field> fields() {
    List<Field> all = new ArrayList<>();
    all.add(new Field("RIP", CpuState.RIP, 8));
    all.add(new Field("RFLAGS", CpuState.RFLAGS, 8));
    for (int i = 0; i < 16; i++) {
      all.add(new Field(GENERAL[i], CpuState.GPR + 8 * i, 8));
    }
    all.add(new Field("activity", CpuState.ACTIVITY, 4));
    String[] segments = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
    for (int s = 0; s < segments.length; s++) {
      int at = CpuState.segment(s, 0);
      all.add(new Field(segments[s], at + CpuState.SEGMENT_SELECTOR, 4));
      all.add(new Field(segments[s] + ".base", at + CpuState.SEGMENT_BASE, 8));
      all.add(new Field(segments[s] + ".limit", at + CpuState.SEGMENT_LIMIT, 4));
      all.add(new Field(segments[s] + ".attributes", at + CpuState.SEGMENT_ATTRIBUTES, 4));
    }
    String[] system = {
      "GDTR.base", "GDTR.limit", "IDTR.base", "IDTR.limit", "CR0", "CR2", "CR3", "CR4", "XCR0"
    };
    for (int i = 0; i < system.length; i++) {
      all.add(new Field(system[i], CpuState.GDTR_BASE + 8 * i, 8));
    }
    for (int i = 0; i < 8; i++) {
      all.add(new Field("DR" + i, CpuState.DR + 8 * i, 8));
    }
    String[] msrs = {
      "EFER",
      "STAR",
      "LSTAR",
      "CSTAR",
      "SFMASK",
      "KERNEL_GS_BASE",
      "SYSENTER_CS",
      "SYSENTER_ESP",
      "SYSENTER_EIP",
      "PAT",
      "TSC_OFFSET",
      "TSC_AUX",
      "TSC_ADJUST",
      "MISC_ENABLE",
      "SPEC_CTRL"
    };
    for (int i = 0; i < msrs.length; i++) {
      all.add(new Field(msrs[i], CpuState.EFER + 8 * i, 8));
    }
    String[] controlFlow = {
      "U_CET", "S_CET", "PL0_SSP", "PL1_SSP", "PL2_SSP", "PL3_SSP", "SSP table", "SSP", "XSS"
    };
    for (int i = 0; i < controlFlow.length; i++) {
      all.add(new Field(controlFlow[i], CpuState.U_CET + 8 * i, 8));
    }
    all.add(new Field("random seed", CpuState.RANDOM, 8));
    all.add(new Field("interrupt shadow", CpuState.INTERRUPT_SHADOW, 4));
    all.add(new Field("NMI blocked", CpuState.NMI_BLOCKED, 4));
    all.add(new Field("NMI pending", CpuState.NMI_PENDING, 4));
    all.add(new Field("pending #DB", CpuState.PENDING_DEBUG, 4));
    all.add(new Field("MXCSR", CpuState.MXCSR, 4));
    all.add(new Field("FCW", CpuState.X87_CONTROL, 4));
    all.add(new Field("FSW", CpuState.X87_STATUS, 4));
    all.add(new Field("FTW", CpuState.X87_TAGS, 4));
    all.add(new Field("FOP", CpuState.X87_OPCODE, 4));
    all.add(new Field("FIP", CpuState.X87_IP, 8));
    all.add(new Field("FDP", CpuState.X87_DP, 8));
    all.add(new Field("FCS", CpuState.X87_CS, 4));
    all.add(new Field("FDS", CpuState.X87_DS, 4));
    for (int i = 0; i < 8; i++) {
      all.add(new Field("R" + i + " significand", CpuState.X87_REGISTERS + 16 * i, 8));
      all.add(new Field("R" + i + " exponent", CpuState.X87_REGISTERS + 16 * i + 8, 8));
    }
    for (int i = 0; i < 16; i++) {
      all.add(new Field("XMM" + i + " low", vector(i), 8));
      all.add(new Field("XMM" + i + " high", vector(i) + 8, 8));
      all.add(new Field("YMM" + i + " third", vector(i) + 16, 8));
      all.add(new Field("YMM" + i + " fourth", vector(i) + 24, 8));
    }
    return all;
  }

  /** Offset of vector register {@code index}. */
  static int vector(int index) {
    return CpuState.VECTORS + CpuState.VECTOR_SIZE * index;
  }

  private static long get(long state, Field field) {
    long at = state + field.offset;
    return field.size == 8 ? RawMemory.getLong(at) : RawMemory.getInt(at) & 0xffff_ffffL;
  }

  /** True if all of both states is alike but for the attention word. */
  static boolean alike(long one, long other) {
    int after = CpuState.ATTENTION + 4;
    return RawMemory.segment(one, CpuState.ATTENTION)
                .mismatch(RawMemory.segment(other, CpuState.ATTENTION))
            < 0
        && RawMemory.segment(one + after, CpuState.PORTABLE_SIZE - after)
                .mismatch(RawMemory.segment(other + after, CpuState.PORTABLE_SIZE - after))
            < 0;
  }

  /** What differs, one line a field. */
  static List<String> differences(long one, long other) {
    List<String> lines = new ArrayList<>();
    boolean[] covered = new boolean[CpuState.PORTABLE_SIZE];
    java.util.Arrays.fill(covered, CpuState.ATTENTION, CpuState.ATTENTION + 4, true);
    for (Field field : FIELDS) {
      java.util.Arrays.fill(covered, field.offset, field.offset + field.size, true);
      long a = get(one, field);
      long b = get(other, field);
      if (a != b) {
        lines.add("%-18s %16x   %16x".formatted(field.name, a, b));
      }
    }
    for (int at = 0; at < CpuState.PORTABLE_SIZE; at++) {
      byte a = RawMemory.getByte(one + at);
      byte b = RawMemory.getByte(other + at);
      if (!covered[at] && a != b) {
        lines.add("%-18s %16x   %16x".formatted("state byte 0x%x".formatted(at), a & 255, b & 255));
      }
    }
    return lines;
  }

  /** The registers that matter most, four a line. */
  static String dump(long state) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < 16; i++) {
      out.append("%-3s=%016x%s".formatted(GENERAL[i], get(state, FIELDS.get(2 + i)), end(i)));
    }
    out.append("RIP=%016x ".formatted(RawMemory.getLong(state + CpuState.RIP)));
    out.append("RFLAGS=%08x ".formatted(RawMemory.getLong(state + CpuState.RFLAGS)));
    for (int s = 0; s < 6; s++) {
      Field selector = FIELDS.get(19 + 4 * s);
      out.append("%s=%04x ".formatted(selector.name, get(state, selector)));
    }
    out.append("\nCR0=%08x ".formatted(RawMemory.getLong(state + CpuState.CR0)));
    out.append("CR2=%016x ".formatted(RawMemory.getLong(state + CpuState.CR2)));
    out.append("CR3=%016x ".formatted(RawMemory.getLong(state + CpuState.CR3)));
    out.append("CR4=%08x ".formatted(RawMemory.getLong(state + CpuState.CR4)));
    out.append("EFER=%04x\n".formatted(RawMemory.getLong(state + CpuState.EFER)));
    return out.toString();
  }

  private static String end(int i) {
    return i % 4 == 3 ? "\n" : " ";
  }
}
