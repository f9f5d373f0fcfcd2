package dev.bothy.assemble;

import java.util.Arrays;

/**
 * Writes x86-64 machine code into a byte array. Only what a translator needs: any instruction with
 * a ModRM byte by its opcode, the common ones by name, and jumps. Encodings follow the Intel SDM,
 * volume 2, chapter 2. Not thread-safe.
 *
 * <p>An opcode is an int that reads like its bytes: {@code 0x8b}, {@code 0x0fb6}, {@code 0x0f3817}.
 * Operand sizes are 1, 2, 4 or 8 bytes; a byte register may be {@link #AH} to {@link #BH}, but only
 * where no operand needs a REX prefix.
 */
public final class Assembler {
  public static final int RAX = 0;
  public static final int RCX = 1;
  public static final int RDX = 2;
  public static final int RBX = 3;
  public static final int RSP = 4;
  public static final int RBP = 5;
  public static final int RSI = 6;
  public static final int RDI = 7;
  public static final int R8 = 8;
  public static final int R9 = 9;
  public static final int R10 = 10;
  public static final int R11 = 11;
  public static final int R12 = 12;
  public static final int R13 = 13;
  public static final int R14 = 14;
  public static final int R15 = 15;

  /** Bits 8 to 15 of RAX. */
  public static final int AH = 0x14;

  public static final int CH = 0x15;
  public static final int DH = 0x16;
  public static final int BH = 0x17;

  /** No index, no base. */
  public static final int NONE = -1;

  // Added to a size: which of the two operands is a byte register when the size itself is not 1.
  public static final int BYTE_REG = 0x100;
  public static final int BYTE_RM = 0x200;

  // Prefixes.
  public static final int P66 = 0x66;
  public static final int PF2 = 0xf2;
  public static final int PF3 = 0xf3;

  /** LOCK, added to another prefix or alone. */
  public static final int LOCK = 0x100;

  // Operations of the group that shares opcodes 00 to 3F and 80 to 83.
  public static final int ADD = 0;
  public static final int OR = 1;
  public static final int ADC = 2;
  public static final int SBB = 3;
  public static final int AND = 4;
  public static final int SUB = 5;
  public static final int XOR = 6;
  public static final int CMP = 7;

  // Shifts.
  public static final int SHL = 4;
  public static final int SHR = 5;
  public static final int SAR = 7;

  // Conditions.
  public static final int O = 0;
  public static final int NO = 1;
  public static final int B = 2;
  public static final int AE = 3;
  public static final int E = 4;
  public static final int NE = 5;
  public static final int BE = 6;
  public static final int A = 7;
  public static final int S = 8;
  public static final int NS = 9;
  public static final int P = 10;
  public static final int NP = 11;
  public static final int L = 12;
  public static final int GE = 13;
  public static final int LE = 14;
  public static final int G = 15;

  private byte[] code = new byte[4096];
  private int at;
  private long origin;
  private int[] outside = new int[64];
  private int outsides;

  /** Starts anew: the first byte will run at host address {@code origin}. */
  public void start(long origin) {
    this.origin = origin;
    at = 0;
    outsides = 0;
  }

  /** Bytes written so far. */
  public int size() {
    return at;
  }

  /** Where the next byte will run. */
  public long here() {
    return origin + at;
  }

  /** The bytes; the first {@link #size} count. */
  public byte[] buffer() {
    return code;
  }

  /** A copy of the code. */
  public byte[] bytes() {
    return Arrays.copyOf(code, at);
  }

  /**
   * Where displacements of jumps and calls to host addresses lie, four bytes each, in the code's
   * order: code that is moved changes in these alone.
   */
  public int[] outside() {
    return Arrays.copyOf(outside, outsides);
  }

  // Bytes.

  public void int8(int value) {
    if (at + 16 > code.length) {
      code = Arrays.copyOf(code, code.length * 2);
    }
    code[at++] = (byte) value;
  }

  public void int16(int value) {
    int8(value);
    int8(value >> 8);
  }

  public void int32(int value) {
    int16(value);
    int16(value >> 16);
  }

  public void int64(long value) {
    int32((int) value);
    int32((int) (value >> 32));
  }

  /** Fills with one-byte NOPs up to a multiple of {@code boundary}, a power of two. */
  public void align(int boundary) {
    while ((here() & boundary - 1) != 0) {
      int8(0x90);
    }
  }

  // Any instruction with a ModRM byte.

  private void opcode(int prefix, int size, int opcode, int rex, boolean needed, boolean high) {
    if (high && (rex != 0 || needed || (size & 0xff) == 8)) {
      throw new IllegalArgumentException("AH to BH beside an operand that needs REX");
    }
    if ((prefix & LOCK) != 0) {
      int8(0xf0);
    }
    int bytes = size & 0xff;
    if ((prefix & 0xff) != 0) {
      int8(prefix);
    }
    if (bytes == 2 && (prefix & 0xff) != 0x66) {
      int8(0x66);
    }
    if (bytes == 8) {
      rex |= 8;
    }
    if (rex != 0 || needed) {
      int8(0x40 | rex);
    }
    if (opcode > 0xffff) {
      int8(opcode >> 16);
    }
    if (opcode > 0xff) {
      int8(opcode >> 8);
    }
    int8(opcode);
  }

  private static boolean isByte(int size, int flag) {
    return (size & 0xff) == 1 || (size & flag) != 0;
  }

  /**
   * An instruction whose ModRM names two registers.
   *
   * @param prefix 0, a mandatory prefix, {@link #LOCK}
   * @param size operand size; 2 adds 66, 8 adds REX.W
   * @param reg register or opcode extension in the reg field
   * @param rm register in the rm field
   */
  public void registers(int prefix, int size, int opcode, int reg, int rm) {
    boolean high = reg >= 0x10 || rm >= 0x10;
    boolean needed =
        isByte(size, BYTE_REG) && reg >= 4 && reg < 8 || isByte(size, BYTE_RM) && rm >= 4 && rm < 8;
    opcode(prefix, size, opcode, rexBit(reg) << 2 | rexBit(rm), needed, high);
    int8(0xc0 | (reg & 7) << 3 | rm & 7);
  }

  private static int rexBit(int register) {
    return register < 0x10 ? register >> 3 & 1 : 0;
  }

  /**
   * The same with an opcode extension, 0 to 7, in the reg field: never a register that needs REX.
   */
  public void extended(int prefix, int size, int opcode, int extension, int rm) {
    boolean needed = isByte(size, BYTE_RM) && rm >= 4 && rm < 8;
    opcode(prefix, size, opcode, rexBit(rm), needed, rm >= 0x10);
    int8(0xc0 | extension << 3 | rm & 7);
  }

  /**
   * An instruction with a memory operand [base + index * 2^scale + displacement].
   *
   * @param base a register, or {@link #NONE}
   * @param index a register but RSP, or {@link #NONE}
   * @param scale 0 to 3
   */
  public void memory(
      int prefix, int size, int opcode, int reg, int base, int index, int scale, int displacement) {
    boolean needed = isByte(size, BYTE_REG) && reg >= 4 && reg < 8;
    int rex =
        rexBit(reg) << 2 | (index < 0 ? 0 : rexBit(index) << 1) | (base < 0 ? 0 : rexBit(base));
    opcode(prefix, size, opcode, rex, needed, reg >= 0x10);
    operand(reg & 7, base, index, scale, displacement);
  }

  /** The same with an opcode extension in the reg field. */
  public void memoryExtended(
      int prefix,
      int size,
      int opcode,
      int extension,
      int base,
      int index,
      int scale,
      int displacement) {
    int rex = (index < 0 ? 0 : rexBit(index) << 1) | (base < 0 ? 0 : rexBit(base));
    opcode(prefix, size, opcode, rex, false, false);
    operand(extension, base, index, scale, displacement);
  }

  private void operand(int reg, int base, int index, int scale, int displacement) {
    int field = reg << 3;
    if (base < 0) {
      int8(field | 4);
      int8(scale << 6 | (index < 0 ? 4 : index & 7) << 3 | 5);
      int32(displacement);
      return;
    }
    int mod =
        displacement == 0 && (base & 7) != 5
            ? 0
            : displacement == (byte) displacement ? 0x40 : 0x80;
    if (index >= 0 || (base & 7) == 4) {
      int8(mod | field | 4);
      int8(scale << 6 | (index < 0 ? 4 : index & 7) << 3 | base & 7);
    } else {
      int8(mod | field | base & 7);
    }
    if (mod == 0x40) {
      int8(displacement);
    } else if (mod == 0x80) {
      int32(displacement);
    }
  }

  // Common instructions by name.

  public void mov(int size, int to, int from) {
    registers(0, size, size == 1 ? 0x88 : 0x89, from, to);
  }

  /** Loads {@code size} bytes; 4 zero-extend, 1 and 2 leave the rest. */
  public void load(int size, int to, int base, int displacement) {
    memory(0, size, size == 1 ? 0x8a : 0x8b, to, base, NONE, 0, displacement);
  }

  public void store(int size, int base, int displacement, int from) {
    memory(0, size, size == 1 ? 0x88 : 0x89, from, base, NONE, 0, displacement);
  }

  /** Stores an immediate of {@code size} bytes; for 8, sign-extended from 4. */
  public void storeImmediate(int size, int base, int displacement, int value) {
    memoryExtended(0, size, size == 1 ? 0xc6 : 0xc7, 0, base, NONE, 0, displacement);
    immediate(size, value);
  }

  private void immediate(int size, int value) {
    switch (size & 0xff) {
      case 1 -> int8(value);
      case 2 -> int16(value);
      default -> int32(value);
    }
  }

  /** The shortest way to get {@code value} into a register; flags stay. */
  public void constant(int to, long value) {
    if (value >>> 32 == 0) {
      if (to >= 8) {
        int8(0x41);
      }
      int8(0xb8 | to & 7);
      int32((int) value);
    } else if (value == (int) value) {
      extended(0, 8, 0xc7, 0, to);
      int32((int) value);
    } else {
      int8(to >= 8 ? 0x49 : 0x48);
      int8(0xb8 | to & 7);
      int64(value);
    }
  }

  public void lea(int size, int to, int base, int index, int scale, int displacement) {
    memory(0, size, 0x8d, to, base, index, scale, displacement);
  }

  /** {@link #ADD} to {@link #CMP} of two registers. */
  public void alu(int operation, int size, int to, int from) {
    registers(0, size, operation << 3 | (size == 1 ? 0 : 1), from, to);
  }

  /** {@link #ADD} to {@link #CMP} with an immediate. */
  public void aluImmediate(int operation, int size, int to, int value) {
    boolean small = size != 1 && value == (byte) value;
    extended(0, size, size == 1 ? 0x80 : small ? 0x83 : 0x81, operation, to);
    immediate(small ? 1 : size, value);
  }

  /** {@link #ADD} to {@link #CMP} of a register with memory. */
  public void aluLoad(int operation, int size, int to, int base, int index, int displacement) {
    memory(0, size, operation << 3 | (size == 1 ? 2 : 3), to, base, index, 0, displacement);
  }

  /** {@link #ADD} to {@link #CMP} of memory with an immediate. */
  public void aluStoreImmediate(int operation, int size, int base, int displacement, int value) {
    boolean small = size != 1 && value == (byte) value;
    memoryExtended(
        0, size, size == 1 ? 0x80 : small ? 0x83 : 0x81, operation, base, NONE, 0, displacement);
    immediate(small ? 1 : size, value);
  }

  /** Shift by a constant. */
  public void shift(int operation, int size, int to, int count) {
    extended(0, size, size == 1 ? 0xc0 : 0xc1, operation, to);
    int8(count);
  }

  /** RORX of 8 bytes by a constant, which leaves the flags alone: a processor with BMI2 has it. */
  public void rotateInto(int to, int from, int count) {
    vexRegisters(0xf2, 3, 8, 0xf0, to, 0, from);
    int8(count);
  }

  /**
   * An instruction with a VEX prefix whose ModRM names two registers, general ones unless the
   * instruction has others.
   *
   * @param prefix the mandatory prefix: 0, 66, F3, F2
   * @param map 1 for 0F, 2 for 0F38, 3 for 0F3A
   * @param size operand size, 4 or 8 (VEX.W), with {@link #VEX_256} or not
   * @param reg register or opcode extension in the reg field
   * @param third register in the prefix itself; 0 if there is none
   * @param rm register in the rm field
   */
  public void vexRegisters(int prefix, int map, int size, int opcode, int reg, int third, int rm) {
    vex(prefix, map, size, opcode, rexBit(reg) << 2 | rexBit(rm), third);
    int8(0xc0 | (reg & 7) << 3 | rm & 7);
  }

  /** The same with a memory operand [base + displacement]. */
  public void vexMemory(
      int prefix, int map, int size, int opcode, int reg, int third, int base, int displacement) {
    vex(prefix, map, size, opcode, rexBit(reg) << 2 | rexBit(base), third);
    operand(reg & 7, base, NONE, 0, displacement);
  }

  /**
   * In the size of an instruction with a VEX prefix: 256 bits. Then registers are vector registers,
   * but for those that the instruction has as general ones.
   */
  public static final int VEX_256 = 0x800;

  /** The prefix of three bytes, whose register bits are inverted, and the opcode. */
  private void vex(int prefix, int map, int size, int opcode, int rex, int third) {
    int mandatory =
        switch (prefix) {
          case 0x66 -> 1;
          case 0xf3 -> 2;
          case 0xf2 -> 3;
          default -> 0;
        };
    int8(0xc4);
    int8((~rex & 7) << 5 | map);
    int length = (size & VEX_256) != 0 ? 4 : 0;
    int8(((size & 8) != 0 ? 0x80 : 0) | (~third & 15) << 3 | length | mandatory);
    int8(opcode);
  }

  /** The same without operands: VZEROUPPER; with 256 bits VZEROALL. */
  public void vexPlain(int size, int opcode) {
    vex(0, 1, size, opcode, 0, 0);
  }

  /** TEST of two registers. */
  public void test(int size, int a, int b) {
    registers(0, size, size == 1 ? 0x84 : 0x85, b, a);
  }

  public void testImmediate(int size, int register, int value) {
    extended(0, size, size == 1 ? 0xf6 : 0xf7, 0, register);
    immediate(size, value);
  }

  public void testStoreImmediate(int size, int base, int displacement, int value) {
    memoryExtended(0, size, size == 1 ? 0xf6 : 0xf7, 0, base, NONE, 0, displacement);
    immediate(size, value);
  }

  public void setcc(int condition, int to) {
    extended(0, 4 | BYTE_RM, 0x0f90 | condition, 0, to);
  }

  public void push(int register) {
    if (register >= 8) {
      int8(0x41);
    }
    int8(0x50 | register & 7);
  }

  public void pop(int register) {
    if (register >= 8) {
      int8(0x41);
    }
    int8(0x58 | register & 7);
  }

  public void ret() {
    int8(0xc3);
  }

  public void lahf() {
    int8(0x9f);
  }

  public void sahf() {
    int8(0x9e);
  }

  // Jumps.

  /** Jumps to a host address within 2 GiB. */
  public void jump(long target) {
    int by = relative(target, 5);
    int8(0xe9);
    int32(by);
    leadsOutside();
  }

  /** Jumps to a host address on a condition. */
  public void jump(int condition, long target) {
    int by = relative(target, 6);
    int8(0x0f);
    int8(0x80 | condition);
    int32(by);
    leadsOutside();
  }

  public void call(long target) {
    int by = relative(target, 5);
    int8(0xe8);
    int32(by);
    leadsOutside();
  }

  /** The displacement just written is that of a host address. */
  private void leadsOutside() {
    if (outsides == outside.length) {
      outside = Arrays.copyOf(outside, 2 * outsides);
    }
    outside[outsides++] = at - 4;
  }

  /** How far {@code target} is from the end of an instruction of {@code length} bytes. */
  private int relative(long target, int length) {
    long by = target - (here() + length);
    if (by != (int) by) {
      throw new IllegalArgumentException("jump too far");
    }
    return (int) by;
  }

  /** A jump whose target comes later; give the result to {@link #bind} or {@link #bindTo}. */
  public int jumpForward() {
    int8(0xe9);
    int32(0);
    return at;
  }

  /** A conditional jump whose target comes later. */
  public int jumpForward(int condition) {
    int8(0x0f);
    int8(0x80 | condition);
    int32(0);
    return at;
  }

  /** A conditional jump of two bytes whose target comes within 127 bytes. */
  public int shortForward(int condition) {
    int8(0x70 | condition);
    int8(0);
    return at;
  }

  /** An unconditional jump of two bytes whose target comes within 127 bytes. */
  public int shortForward() {
    int8(0xeb);
    int8(0);
    return at;
  }

  /** Makes the jump lead here. */
  public void bind(int jump) {
    put32(jump - 4, at - jump);
  }

  /** Makes a short jump lead here. */
  public void bindShort(int jump) {
    int by = at - jump;
    if (by > 127) {
      throw new IllegalArgumentException("short jump too far");
    }
    code[jump - 1] = (byte) by;
  }

  /** Makes the jump lead to position {@code target} of the code. */
  public void bindTo(int jump, int target) {
    put32(jump - 4, target - jump);
  }

  private void put32(int position, int value) {
    code[position] = (byte) value;
    code[position + 1] = (byte) (value >> 8);
    code[position + 2] = (byte) (value >> 16);
    code[position + 3] = (byte) (value >> 24);
  }

  /** Jumps through memory. */
  public void jumpIndirect(int base, int index, int scale, int displacement) {
    memoryExtended(0, 4, 0xff, 4, base, index, scale, displacement);
  }

  public void jumpRegister(int register) {
    extended(0, 4, 0xff, 4, register);
  }
}
