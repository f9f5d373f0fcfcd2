package dev.bothy.x86.decode;

/** A row as the decoder wants it: what it matches, and where its operands come from. Immutable. */
final class Form {
  // What selects a row, one bit a value of each field. A row matches if it has every bit of the
  // instruction's key.
  static final int KEY_PREFIX = 1;
  static final int KEY_MODE = 1 << 4;
  static final int KEY_REG = 1 << 7;
  static final int KEY_MOD = 1 << 15;
  static final int KEY_RM = 1 << 17;
  static final int KEY_W = 1 << 25;
  static final int KEY_L = 1 << 27;
  static final int KEY_B = 1 << 29;
  static final int ANY = 0x7fff_ffff;

  static final int ANY_PREFIX = 0xf * KEY_PREFIX;
  static final int ANY_MODE = 0x7 * KEY_MODE;
  static final int ANY_REG = 0xff * KEY_REG;
  static final int ANY_MOD = 3 * KEY_MOD;
  static final int ANY_RM = 0xff * KEY_RM;
  static final int ANY_W = 3 * KEY_W;
  static final int ANY_L = 3 * KEY_L;
  static final int ANY_B = 3 * KEY_B;

  // Places of prefixes in the key.
  static final int NP = 0;
  static final int P66 = 1;
  static final int PF3 = 2;
  static final int PF2 = 3;

  // Where an operand comes from.
  static final int E = 1;
  static final int G = 2;
  static final int Z = 3;
  static final int M = 4;
  static final int R = 5;
  static final int B = 6;
  static final int P = 7;
  static final int Q = 8;
  static final int N = 9;
  static final int V = 10;
  static final int W = 11;
  static final int U = 12;
  static final int H = 13;
  static final int L = 14;
  static final int SEGMENT = 15;
  static final int CONTROL = 16;
  static final int DEBUG = 17;
  static final int ST_FIXED = 18;
  static final int ST_RM = 19;
  static final int XMM_FIXED = 20;
  static final int IMMEDIATE = 21;
  static final int SIGNED_BYTE = 22;
  static final int SECOND_BYTE = 23;
  static final int RELATIVE = 24;
  static final int FAR = 25;
  static final int OFFSET = 26;
  static final int SOURCE = 27;
  static final int DESTINATION = 28;
  static final int GPR_FIXED = 29;
  static final int SEGMENT_FIXED = 30;
  static final int ONE = 31;
  static final int TRANSLATE = 32;

  // Sizes: bytes as they are, or one of these.
  static final int SIZE_V = 0x1001;
  static final int SIZE_Z = 0x1002;
  static final int SIZE_Y = 0x1003;
  static final int SIZE_X = 0x1004;
  static final int SIZE_H = 0x1005;
  static final int SIZE_O = 0x1006;
  static final int SIZE_F = 0x1007;
  static final int SIZE_P = 0x1008;
  static final int SIZE_S = 0x1009;
  static final int SIZE_A = 0x100a;
  static final int SIZE_ENV = 0x100b;
  static final int SIZE_FPU = 0x100c;
  static final int SIZE_VARIES = 0x1000;

  final TableEntry entry;

  /** Key bits that this row accepts. */
  final int match;

  /** Escape bytes and VEX map: 0 one-byte, 1 0F, 2 0F38, 3 0F3A; 4 more with VEX. */
  final int map;

  /** First opcode byte, and how many from there. */
  final int opcode;

  final int opcodes;
  final boolean modrm;

  /** A prefix is part of the opcode: F2 or F3 do not repeat. */
  final boolean mandatoryPrefix;

  /** VEX.vvvv is an operand. */
  final boolean vvvv;

  /** Operand sources, their sizes, and the number of a fixed register. */
  final int[] source;

  final int[] size;
  final int[] fixed;
  final int attributes;

  Form(
      TableEntry entry,
      int match,
      int map,
      int opcode,
      int opcodes,
      boolean modrm,
      int[] source,
      int[] size,
      int[] fixed) {
    this.entry = entry;
    this.match = match;
    this.map = map;
    this.opcode = opcode;
    this.opcodes = opcodes;
    this.modrm = modrm;
    this.source = source;
    this.size = size;
    this.fixed = fixed;
    this.attributes = entry.attributes();
    this.mandatoryPrefix = (match & ANY_PREFIX) != ANY_PREFIX;
    boolean v = false;
    for (int s : source) {
      v |= s == H || s == B;
    }
    this.vvvv = v;
  }
}
