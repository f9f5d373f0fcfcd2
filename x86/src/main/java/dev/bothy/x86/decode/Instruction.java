package dev.bothy.x86.decode;

/**
 * One decoded instruction: what {@link Decoder} fills in and engines read. Mutable so that decoding
 * need not allocate; {@link #copy} gives one to keep. Not thread-safe.
 */
public final class Instruction {
  // Kinds of operands.
  public static final int NONE = 0;

  /** General register {@code register}, {@code size} bytes of it. */
  public static final int GPR = 1;

  /** AH, CH, DH or BH: bits 8 to 15 of general register {@code register} (0 to 3). */
  public static final int GPR_HIGH = 2;

  /** The memory operand: see {@link #base}. At most one an instruction, besides implicit ones. */
  public static final int MEMORY = 3;

  /** {@link #immediate}, sign- or zero-extended as the instruction says. */
  public static final int IMMEDIATE = 4;

  /** {@link #immediate} is relative to the end of the instruction. */
  public static final int RELATIVE = 5;

  public static final int SEGMENT_REGISTER = 6;
  public static final int CONTROL_REGISTER = 7;
  public static final int DEBUG_REGISTER = 8;
  public static final int MMX = 9;

  /** Vector register {@code register}; {@code size} is 16 (32 with VEX.L). */
  public static final int XMM = 10;

  /** x87 stack register ST({@code register}). */
  public static final int ST = 11;

  /** Far pointer: selector in {@link #immediate2}, offset in {@link #immediate}. */
  public static final int FAR_POINTER = 12;

  /** {@link #immediate2}: ENTER's level, EXTRQ's second byte. */
  public static final int IMMEDIATE2 = 13;

  /** Memory at seg:[rSI] resp. ES:[rDI]: string operands. */
  public static final int STRING_SOURCE = 14;

  public static final int STRING_DESTINATION = 15;

  /** {@link #base} of a RIP-relative address. */
  public static final int RIP_BASE = 16;

  /** The row of the table this instruction is; null if there is none. */
  public TableEntry entry;

  public Op op;

  /** Bytes, 1 to 15. */
  public int length;

  /** Code size the instruction was decoded for: 16, 32 or 64. */
  public int mode;

  /** Effective operand size in bytes for operands that vary: 2, 4 or 8. */
  public int operandSize;

  /** Effective address size in bytes: 2, 4 or 8. */
  public int addressSize;

  /** 0, 0xF2 or 0xF3: the last repeat prefix, when it is not part of the opcode. */
  public int repeat;

  public boolean lock;

  /** 0x66 was there, whatever it did. */
  public boolean operandSizePrefix;

  /** REX byte or 0. */
  public int rex;

  /** VEX: 0 none, 1 yes; its fields. */
  public int vex;

  public int vexRegister;
  public boolean vexL;
  public boolean w;

  /** The opcode byte proper (last byte of the opcode). */
  public int opcode;

  /** Opcode map: 0 one-byte, 1 0F, 2 0F38, 3 0F3A. */
  public int map;

  /** The prefix that is part of the opcode: 0, 0x66, 0xF2 or 0xF3. */
  public int mandatoryPrefix;

  /** ModRM byte, or -1 without one. */
  public int modrm;

  /** Operands in Intel order, destination first. */
  public int operands;

  public final int[] kind = new int[4];
  public final int[] register = new int[4];

  /** Bytes: 1, 2, 4, 6, 8, 10, 16, 28, 32, 94, 108, 512; 0 where there is none (LEA, INVLPG). */
  public final int[] size = new int[4];

  // The memory operand.
  /**
   * General register 0 to 15, {@link #RIP_BASE} or -1. 16-bit addressing uses base and index as
   * well.
   */
  public int base;

  /** General register or -1. */
  public int index;

  /** 0 to 3: the index counts 1, 2, 4 or 8 times. */
  public int scale;

  /**
   * Sign-extended; an absolute address for moffs forms. RIP-relative: counts from the instruction's
   * end.
   */
  public long displacement;

  /**
   * Segment of the memory operand (0 ES to 5 GS), override applied. Also the source segment of
   * string instructions.
   */
  public int segment;

  /** A segment override that counts was present. */
  public boolean segmentOverride;

  /** NOTRACK was present: of near indirect jumps and calls. */
  public boolean noTrack;

  public long immediate;
  public long immediate2;

  /** True if operand {@code n} is the memory operand. */
  public boolean isMemory(int n) {
    return kind[n] == MEMORY;
  }

  /** mod field of ModRM, 0 to 3. */
  public int mod() {
    return modrm >> 6;
  }

  /** reg field of ModRM without REX. */
  public int reg() {
    return modrm >> 3 & 7;
  }

  /** rm field of ModRM without REX. */
  public int rm() {
    return modrm & 7;
  }

  /** Intel syntax, as if at address 0. */
  @Override
  public String toString() {
    return op == null ? "(bad)" : Disassembler.format(this, 0);
  }

  /** An independent copy. */
  public Instruction copy() {
    Instruction c = new Instruction();
    c.entry = entry;
    c.op = op;
    c.length = length;
    c.mode = mode;
    c.operandSize = operandSize;
    c.addressSize = addressSize;
    c.repeat = repeat;
    c.lock = lock;
    c.operandSizePrefix = operandSizePrefix;
    c.rex = rex;
    c.vex = vex;
    c.vexRegister = vexRegister;
    c.vexL = vexL;
    c.w = w;
    c.opcode = opcode;
    c.map = map;
    c.mandatoryPrefix = mandatoryPrefix;
    c.modrm = modrm;
    c.operands = operands;
    System.arraycopy(kind, 0, c.kind, 0, 4);
    System.arraycopy(register, 0, c.register, 0, 4);
    System.arraycopy(size, 0, c.size, 0, 4);
    c.base = base;
    c.index = index;
    c.scale = scale;
    c.displacement = displacement;
    c.segment = segment;
    c.segmentOverride = segmentOverride;
    c.noTrack = noTrack;
    c.immediate = immediate;
    c.immediate2 = immediate2;
    return c;
  }
}
