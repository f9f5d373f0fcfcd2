package dev.bothy.x86.decode;

import java.util.Locale;

/**
 * Writes instructions down for people: reports, logs and test failures. Intel syntax, close to
 * {@code objdump -M intel}; not meant to be assembled again. Stateless.
 */
public final class Disassembler {
  private static final String[] CONDITIONS = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"
  };
  private static final String[] SEGMENTS = {"es", "cs", "ss", "ds", "fs", "gs"};
  private static final String[] NAMES = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
  private static final String[] LOW = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
  private static final String[] HIGH = {"ah", "ch", "dh", "bh"};

  private Disassembler() {}

  /**
   * One instruction at {@code offset}; {@code (bad)} and the first byte if it is none. {@code rip}
   * is its address.
   */
  public static String disassemble(byte[] code, int offset, int limit, int mode, long rip) {
    Instruction instruction = new Instruction();
    if (Decoder.decode(code, offset, limit, mode, instruction) != Decoder.OK) {
      return offset < limit ? "(bad) %02x".formatted(code[offset]) : "(bad)";
    }
    return format(instruction, rip);
  }

  /**
   * A decoded instruction at address {@code rip}, which branch targets and RIP-relative addresses
   * count from.
   */
  public static String format(Instruction in, long rip) {
    StringBuilder out = new StringBuilder();
    if (in.lock && in.kind[1] != Instruction.CONTROL_REGISTER) {
      out.append("lock ");
    }
    if (in.repeat != 0 && in.entry.has(TableEntry.REPE)) {
      out.append(in.repeat == 0xf3 ? "repe " : "repne ");
    } else if (in.repeat != 0 && in.entry.has(TableEntry.REP)) {
      out.append("rep ");
    }
    out.append(mnemonic(in));
    operands(in, rip, out);
    return out.toString();
  }

  /** Appends a blank and the operands. */
  static void operands(Instruction in, long rip, StringBuilder out) {
    for (int i = 0; i < in.operands; i++) {
      out.append(i == 0 ? " " : ",");
      operand(in, i, rip, out);
    }
  }

  /** The mnemonic alone, in lower case, with the operand size where Intel's name has it. */
  public static String mnemonic(Instruction in) {
    int size = in.operandSize;
    return switch (in.op) {
      case JCC -> "j" + CONDITIONS[in.opcode & 15];
      case SETCC -> "set" + CONDITIONS[in.opcode & 15];
      case CMOVCC -> "cmov" + CONDITIONS[in.opcode & 15];
      case CBW -> size == 2 ? "cbw" : size == 4 ? "cwde" : "cdqe";
      case CWD -> size == 2 ? "cwd" : size == 4 ? "cdq" : "cqo";
      case PUSHF, POPF, IRET, PUSHA, POPA ->
          in.op.name().toLowerCase(Locale.ROOT) + (size == 2 ? "w" : size == 4 ? "d" : "q");
      case JRCXZ -> in.addressSize == 2 ? "jcxz" : in.addressSize == 4 ? "jecxz" : "jrcxz";
      case CALL_FAR -> "call far";
      case JMP_FAR -> "jmp far";
      case RET_FAR -> "retf";
      case FXSAVE, FXRSTOR, XSAVE, XRSTOR, XSAVEC, XSAVEOPT, XSAVES, XRSTORS ->
          in.op.name().toLowerCase(Locale.ROOT) + (in.w ? "64" : "");
      default -> in.op.name().toLowerCase(Locale.ROOT);
    };
  }

  private static void operand(Instruction in, int i, long rip, StringBuilder out) {
    int register = in.register[i];
    int size = in.size[i];
    switch (in.kind[i]) {
      case Instruction.GPR -> out.append(register(register, size));
      case Instruction.GPR_HIGH -> out.append(HIGH[register]);
      case Instruction.MEMORY -> memory(in, size, out);
      case Instruction.IMMEDIATE -> hex(masked(in.immediate, size), out);
      case Instruction.IMMEDIATE2 -> hex(in.immediate2, out);
      case Instruction.RELATIVE -> hex(masked(rip + in.length + in.immediate, size), out);
      case Instruction.SEGMENT_REGISTER -> out.append(SEGMENTS[register]);
      case Instruction.CONTROL_REGISTER -> out.append("cr").append(register);
      case Instruction.DEBUG_REGISTER -> out.append("dr").append(register);
      case Instruction.MMX -> out.append("mm").append(register);
      case Instruction.XMM -> out.append(size == 32 ? "ymm" : "xmm").append(register);
      case Instruction.ST -> out.append("st(").append(register).append(')');
      case Instruction.FAR_POINTER -> {
        hex(in.immediate2, out);
        out.append(':');
        hex(in.immediate, out);
      }
      case Instruction.STRING_SOURCE -> {
        pointer(size, out);
        out.append(SEGMENTS[in.segment])
            .append(":[")
            .append(register(6, in.addressSize))
            .append(']');
      }
      case Instruction.STRING_DESTINATION -> {
        pointer(size, out);
        out.append("es:[").append(register(7, in.addressSize)).append(']');
      }
      default -> out.append('?');
    }
  }

  private static void memory(Instruction in, int size, StringBuilder out) {
    pointer(size, out);
    boolean absolute = in.base < 0 && in.index < 0;
    if (in.segmentOverride || absolute || in.op == Op.XLAT) {
      out.append(SEGMENTS[in.segment]).append(':');
    }
    if (absolute) {
      hex(masked(in.displacement, in.addressSize), out);
      return;
    }
    out.append('[');
    if (in.base == Instruction.RIP_BASE) {
      out.append(in.addressSize == 8 ? "rip" : "eip");
    } else if (in.base >= 0) {
      out.append(register(in.base, in.addressSize));
    }
    if (in.index >= 0) {
      out.append(in.base >= 0 ? "+" : "");
      if (in.entry.has(TableEntry.VSIB)) {
        boolean wide = in.size[0] == 32 || in.op == Op.VPGATHERQD || in.op == Op.VGATHERQPS;
        out.append(in.vexL && wide ? "ymm" : "xmm").append(in.index);
      } else {
        out.append(register(in.index, in.addressSize));
      }
      if (in.addressSize != 2) {
        out.append('*').append(1 << in.scale);
      }
    }
    if (in.displacement != 0) {
      out.append(in.displacement < 0 ? '-' : '+');
      hex(Math.abs(in.displacement), out);
    }
    out.append(']');
  }

  private static void pointer(int size, StringBuilder out) {
    switch (size) {
      case 1 -> out.append("byte ptr ");
      case 2 -> out.append("word ptr ");
      case 4 -> out.append("dword ptr ");
      case 6 -> out.append("fword ptr ");
      case 8 -> out.append("qword ptr ");
      case 10 -> out.append("tbyte ptr ");
      case 16 -> out.append("xmmword ptr ");
      case 32 -> out.append("ymmword ptr ");
      default -> {}
    }
  }

  private static String register(int register, int size) {
    if (register >= 8) {
      return "r" + register + (size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "");
    }
    return switch (size) {
      case 1 -> LOW[register];
      case 2 -> NAMES[register];
      case 4 -> "e" + NAMES[register];
      default -> "r" + NAMES[register];
    };
  }

  private static long masked(long value, int size) {
    return switch (size) {
      case 1 -> value & 0xff;
      case 2 -> value & 0xffff;
      case 4 -> value & 0xffff_ffffL;
      default -> value;
    };
  }

  private static void hex(long value, StringBuilder out) {
    out.append("0x").append(Long.toHexString(value));
  }
}
