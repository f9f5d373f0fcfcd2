package dev.bothy.x86.decode;

/**
 * Lengths of VEX and EVEX instructions that the table does not have. They are all INVALID, but
 * their length is known, since in these maps it follows from map and opcode: Intel SDM volume 2,
 * chapter 2.3 and 2.7.
 */
final class VectorLength {
  private VectorLength() {}

  /** {@code p} is behind the opcode byte. */
  static int vex(byte[] code, int p, int end, int offset, int map, int opcode, Instruction out) {
    out.opcode = opcode;
    boolean modrm = !(map == 1 && opcode == 0x77);
    return skip(code, p, end, offset, modrm, immediate(map, opcode), out);
  }

  /** {@code p} is behind the byte 62. */
  static int evex(byte[] code, int p, int end, int offset, int mode, Instruction out) {
    if (end - p < 4) {
      out.length = end - offset;
      return out.length >= Decoder.MAX_LENGTH ? Decoder.TOO_LONG : Decoder.TRUNCATED;
    }
    int map = code[p] & 7;
    int opcode = code[p + 3] & 0xff;
    out.opcode = opcode;
    return skip(code, p + 4, end, offset, true, immediate(map, opcode), out);
  }

  private static int immediate(int map, int opcode) {
    if (map == 3) {
      return 1;
    }
    if (map != 1) {
      return 0;
    }
    return switch (opcode) {
      case 0x70, 0x71, 0x72, 0x73, 0xc2, 0xc4, 0xc5, 0xc6 -> 1;
      default -> 0;
    };
  }

  private static int skip(
      byte[] code, int p, int end, int offset, boolean modrm, int immediate, Instruction out) {
    int length = immediate;
    if (modrm && p < end) {
      int m = code[p++] & 0xff;
      out.modrm = m;
      length += Math.max(0, ModRm.length(code, p, end, m, out.addressSize));
    }
    out.length = Math.min(p + length, end) - offset;
    return Decoder.INVALID;
  }
}
