package dev.bothy.x86.decode;

/** Fills in an instruction's operands from its row, and reads its immediates. */
final class Operands {
  private Operands() {}

  /**
   * Fills the operands of {@code out}, whose prefixes, ModRM and memory operand are there, reading
   * immediates from {@code code[p..end)}.
   *
   * @return where the instruction ends, or -1 if the bytes end first
   */
  static int fill(byte[] code, int p, int end, Form form, int modrm, int rex, Instruction out) {
    int[] sources = form.source;
    out.operands = sources.length;
    for (int i = 0; i < sources.length; i++) {
      int size = form.size[i];
      if (size > Form.SIZE_VARIES) {
        size = size(size, out);
      }
      out.size[i] = size;
      switch (sources[i]) {
        case Form.E -> {
          if (modrm < 0xc0) {
            out.kind[i] = Instruction.MEMORY;
          } else {
            general(out, i, modrm & 7, rex << 3 & 8, size);
          }
        }
        case Form.G -> general(out, i, modrm >> 3 & 7, rex << 1 & 8, size);
        case Form.Z -> general(out, i, out.opcode & 7, rex << 3 & 8, size);
        case Form.R -> general(out, i, modrm & 7, rex << 3 & 8, size);
        case Form.M -> out.kind[i] = Instruction.MEMORY;
        case Form.B -> set(out, i, Instruction.GPR, out.vexRegister);
        case Form.P -> set(out, i, Instruction.MMX, modrm >> 3 & 7);
        case Form.Q -> {
          if (modrm < 0xc0) {
            out.kind[i] = Instruction.MEMORY;
          } else {
            set(out, i, Instruction.MMX, modrm & 7);
            out.size[i] = 8;
          }
        }
        case Form.N -> set(out, i, Instruction.MMX, modrm & 7);
        case Form.V -> vector(out, i, modrm >> 3 & 7 | rex << 1 & 8);
        case Form.W -> {
          if (modrm < 0xc0) {
            out.kind[i] = Instruction.MEMORY;
          } else {
            vector(out, i, modrm & 7 | rex << 3 & 8);
          }
        }
        case Form.U -> vector(out, i, modrm & 7 | rex << 3 & 8);
        case Form.H -> vector(out, i, out.vexRegister);
        case Form.XMM_FIXED -> vector(out, i, 0);
        case Form.SEGMENT -> set(out, i, Instruction.SEGMENT_REGISTER, modrm >> 3 & 7);
        case Form.CONTROL ->
            set(out, i, Instruction.CONTROL_REGISTER, modrm >> 3 & 7 | rex << 1 & 8);
        case Form.DEBUG -> set(out, i, Instruction.DEBUG_REGISTER, modrm >> 3 & 7 | rex << 1 & 8);
        case Form.ST_FIXED -> set(out, i, Instruction.ST, 0);
        case Form.ST_RM -> set(out, i, Instruction.ST, modrm & 7);
        case Form.GPR_FIXED -> set(out, i, Instruction.GPR, form.fixed[i]);
        case Form.SEGMENT_FIXED -> set(out, i, Instruction.SEGMENT_REGISTER, form.fixed[i]);
        case Form.SOURCE -> set(out, i, Instruction.STRING_SOURCE, -1);
        case Form.DESTINATION -> set(out, i, Instruction.STRING_DESTINATION, -1);
        case Form.TRANSLATE -> {
          out.kind[i] = Instruction.MEMORY;
          out.base = 3;
        }
        case Form.ONE -> {
          out.kind[i] = Instruction.IMMEDIATE;
          out.immediate = 1;
        }
        default -> {
          p = immediate(code, p, end, form, i, out);
          if (p < 0) {
            return -1;
          }
        }
      }
    }
    return p;
  }

  private static int immediate(byte[] code, int p, int end, Form form, int i, Instruction out) {
    int source = form.source[i];
    int size = out.size[i];
    int bytes =
        switch (source) {
          case Form.SIGNED_BYTE, Form.SECOND_BYTE, Form.L -> 1;
          case Form.OFFSET -> out.addressSize;
          case Form.FAR -> out.operandSize + 2;
          // SIZE_Z operands of 8-byte operations have 4 immediate bytes.
          default -> size;
        };
    if (bytes > end - p) {
      return -1;
    }
    switch (source) {
      case Form.IMMEDIATE -> {
        out.kind[i] = Instruction.IMMEDIATE;
        long value = read(code, p, bytes);
        if (form.size[i] == Form.SIZE_Z) {
          value = extend(value, bytes);
          out.size[i] = out.operandSize;
        }
        out.immediate = value;
      }
      case Form.SIGNED_BYTE -> {
        out.kind[i] = Instruction.IMMEDIATE;
        out.immediate = code[p];
      }
      case Form.SECOND_BYTE -> {
        out.kind[i] = Instruction.IMMEDIATE2;
        out.immediate2 = code[p] & 0xff;
      }
      case Form.RELATIVE -> {
        out.kind[i] = Instruction.RELATIVE;
        out.immediate = extend(read(code, p, bytes), bytes);
        out.size[i] = out.operandSize;
      }
      case Form.FAR -> {
        out.kind[i] = Instruction.FAR_POINTER;
        out.immediate = read(code, p, out.operandSize);
        out.immediate2 = read(code, p + out.operandSize, 2);
      }
      case Form.OFFSET -> {
        out.kind[i] = Instruction.MEMORY;
        out.displacement = read(code, p, bytes);
      }
      default -> { // Form.L
        out.immediate = code[p] & 0xff;
        vector(out, i, out.mode == 64 ? (code[p] & 0xff) >> 4 : code[p] >> 4 & 7);
      }
    }
    return p + bytes;
  }

  private static void set(Instruction out, int i, int kind, int register) {
    out.kind[i] = kind;
    out.register[i] = register;
  }

  /** A general register; without REX, byte registers 4 to 7 are AH to BH. */
  private static void general(Instruction out, int i, int low, int high, int size) {
    if (size == 1 && low >= 4 && out.rex == 0) {
      set(out, i, Instruction.GPR_HIGH, low - 4);
    } else {
      set(out, i, Instruction.GPR, low | high);
    }
  }

  /** A vector register; those named by a scalar or partial operand are 16 bytes all the same. */
  private static void vector(Instruction out, int i, int register) {
    out.kind[i] = Instruction.XMM;
    out.register[i] = register;
    if (out.size[i] < 16) {
      out.size[i] = 16;
    }
  }

  private static int size(int code, Instruction out) {
    int operand = out.operandSize;
    return switch (code) {
      case Form.SIZE_V -> operand;
      case Form.SIZE_Z -> Math.min(operand, 4);
      case Form.SIZE_Y -> out.mode == 64 && out.w ? 8 : 4;
      case Form.SIZE_X -> out.vexL ? 32 : 16;
      case Form.SIZE_H -> out.vexL ? 16 : 8;
      case Form.SIZE_O -> out.vexL ? 8 : 4;
      case Form.SIZE_F -> out.mode == 64 ? 8 : 4;
      // AMD has no 64-bit offsets here: with REX.W they are 4 bytes too.
      case Form.SIZE_P -> Math.min(operand, 4) + 2;
      case Form.SIZE_S -> out.mode == 64 ? 10 : 6;
      case Form.SIZE_A -> 2 * operand;
      case Form.SIZE_ENV -> operand == 2 ? 14 : 28;
      default -> operand == 2 ? 94 : 108;
    };
  }

  /** {@code bytes} bytes from {@code p}, little-endian, zero-extended. */
  static long read(byte[] code, int p, int bytes) {
    long value = 0;
    for (int i = bytes - 1; i >= 0; i--) {
      value = value << 8 | code[p + i] & 0xff;
    }
    return value;
  }

  private static long extend(long value, int bytes) {
    int shift = 64 - 8 * bytes;
    return value << shift >> shift;
  }
}
