package dev.bothy.x86.decode;

/** The memory operand of ModRM, SIB and displacement: Intel SDM volume 2, chapter 2.1.5. */
final class ModRm {
  static final int SS = 2;
  static final int DS = 3;

  private static final int BX = 3;
  private static final int SP = 4;
  private static final int BP = 5;
  private static final int SI = 6;
  private static final int DI = 7;

  /** 16-bit addressing: base and index by rm. */
  private static final byte[] BASE16 = {BX, BX, BP, BP, SI, DI, BP, BX};

  private static final byte[] INDEX16 = {SI, DI, SI, DI, -1, -1, -1, -1};

  private ModRm() {}

  /**
   * Reads what follows {@code modrm}, whose mod field is not 3, from {@code code[p..end)}.
   *
   * @return where it ends, or -1 if the bytes end first
   */
  static int memory(byte[] code, int p, int end, int modrm, int rex, Instruction out) {
    int mod = modrm >> 6;
    int rm = modrm & 7;
    int displacement;
    if (out.addressSize == 2) {
      if (mod == 0 && rm == 6) {
        displacement = 2;
      } else {
        out.base = BASE16[rm];
        out.index = INDEX16[rm];
        displacement = mod;
      }
    } else {
      if (rm == 4) {
        if (p >= end) {
          return -1;
        }
        int sib = code[p++] & 0xff;
        out.scale = sib >> 6;
        int index = sib >> 3 & 7 | rex << 2 & 8;
        boolean vector = (out.entry.attributes() & TableEntry.VSIB) != 0;
        out.index = index == SP && !vector ? -1 : index;
        rm = sib & 7;
        if (mod == 0 && rm == 5) {
          displacement = 4;
        } else {
          out.base = rm | rex << 3 & 8;
          displacement = mod == 2 ? 4 : mod;
        }
      } else if (mod == 0 && rm == 5) {
        displacement = 4;
        if (out.mode == 64) {
          out.base = Instruction.RIP_BASE;
        }
      } else {
        out.base = rm | rex << 3 & 8;
        displacement = mod == 2 ? 4 : mod;
      }
    }
    if (!out.segmentOverride && (out.base == SP || out.base == BP)) {
      out.segment = SS;
    }
    if (displacement > end - p) {
      return -1;
    }
    switch (displacement) {
      case 1 -> out.displacement = code[p];
      case 2 -> out.displacement = (short) Operands.read(code, p, 2);
      case 4 -> out.displacement = (int) Operands.read(code, p, 4);
      default -> {}
    }
    return p + displacement;
  }

  /**
   * Bytes of SIB and displacement after {@code modrm}, wherever they are; -1 if {@code code} ends
   * before SIB.
   */
  static int length(byte[] code, int p, int end, int modrm, int addressSize) {
    int mod = modrm >> 6;
    int rm = modrm & 7;
    if (mod == 3) {
      return 0;
    }
    if (addressSize == 2) {
      return mod == 0 && rm == 6 ? 2 : mod;
    }
    int sib = 0;
    if (rm == 4) {
      if (p >= end) {
        return -1;
      }
      sib = 1;
      rm = code[p] & 7;
    }
    return sib + (mod == 0 ? (rm == 5 ? 4 : 0) : mod == 1 ? 1 : 4);
  }
}
