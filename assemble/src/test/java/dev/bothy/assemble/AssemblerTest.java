package dev.bothy.assemble;

import static dev.bothy.assemble.Assembler.NONE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Every instruction that the assembler writes, as objdump reads it. */
final class AssemblerTest {
  /** A vector in memory, which objdump tells from 16 bytes of other kinds. */
  private static final int VECTOR = 0;

  private static final int[] SIZES = {1, 2, 4, 8};
  private static final String[] BYTES =
      "al cl dl bl spl bpl sil dil r8b r9b r10b r11b r12b r13b r14b r15b".split(" ");
  private static final String[] WORDS =
      "ax cx dx bx sp bp si di r8w r9w r10w r11w r12w r13w r14w r15w".split(" ");
  private static final String[] DOUBLE_WORDS =
      "eax ecx edx ebx esp ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d".split(" ");
  private static final String[] QUAD_WORDS =
      "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
  private static final String[] HIGH = {"ah", "ch", "dh", "bh"};
  private static final String[] ALU = "add or adc sbb and sub xor cmp".split(" ");
  private static final String[] CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split(" ");
  private static final int[] DISPLACEMENTS = {
    0, 1, 127, 128, -1, -128, -129, 0x1234, 0x7fff_ffff, 0x8000_0000
  };

  private final Disassembly d = new Disassembly();
  private final Assembler a = d.a;

  private static String register(int size, int register) {
    if (register >= Assembler.AH) {
      return HIGH[register - Assembler.AH];
    }
    return switch (size) {
      case 1 -> BYTES[register];
      case 2 -> WORDS[register];
      case 4 -> DOUBLE_WORDS[register];
      default -> QUAD_WORDS[register];
    };
  }

  private static String signed(int displacement) {
    return displacement < 0
        ? "-0x" + Long.toHexString(-(long) displacement)
        : "+0x" + Long.toHexString(displacement);
  }

  private static String address(int base, int index, int scale, int displacement) {
    if (base == NONE && index == NONE) {
      return "ds:0x" + Long.toHexString(displacement);
    }
    String text = base == NONE ? "" : QUAD_WORDS[base];
    if (index != NONE) {
      text += (text.isEmpty() ? "" : "+") + QUAD_WORDS[index] + "*" + (1 << scale);
    }
    // RBP and R13 have no form without a displacement, nor has the absence of a base.
    boolean always = base == NONE || (base & 7) == Assembler.RBP;
    return "[" + text + (displacement == 0 && !always ? "" : signed(displacement)) + "]";
  }

  private static String pointer(int size, String address) {
    String name =
        switch (size) {
          case 1 -> "BYTE";
          case 2 -> "WORD";
          case 4 -> "DWORD";
          case 8 -> "QWORD";
          case 16 -> "OWORD";
          default -> "XMMWORD";
        };
    return name + " PTR " + address;
  }

  private static String memory(int size, int base, int displacement) {
    return pointer(size, address(base, NONE, 0, displacement));
  }

  /** An immediate that objdump shows sign-extended to {@code size} bytes. */
  private static String immediate(int size, int value) {
    long shown =
        switch (size) {
          case 1 -> value & 0xff;
          case 2 -> value & 0xffff;
          case 4 -> value & 0xffff_ffffL;
          default -> value;
        };
    return "0x" + Long.toHexString(shown);
  }

  private static int[] immediates(int size) {
    return size == 1
        ? new int[] {0, 1, 127, -128, -1}
        : size == 2
            ? new int[] {0, 1, 127, 128, -128, -129, 0x7fff, -0x8000}
            : new int[] {0, 1, 127, 128, -128, -129, 0x1234_5678, Integer.MIN_VALUE};
  }

  private static boolean small(int value) {
    return value >= -128 && value <= 127;
  }

  /** AH to BH cannot be had beside what needs a REX prefix. */
  private static boolean together(int one, int other) {
    boolean high = one >= Assembler.AH || other >= Assembler.AH;
    boolean rex = one >= 4 && one < 16 || other >= 4 && other < 16;
    return !(high && rex);
  }

  /** Registers of a size, AH to BH among those of a byte. */
  private static int[] registersOf(int size) {
    int[] registers = new int[size == 1 ? 20 : 16];
    for (int i = 0; i < registers.length; i++) {
      registers[i] = i < 16 ? i : Assembler.AH + i - 16;
    }
    return registers;
  }

  @Test
  void namesEveryRegisterInBothFieldsAndEverySize() throws IOException {
    for (int size : SIZES) {
      for (int to : registersOf(size)) {
        for (int from : registersOf(size)) {
          if (!together(to, from)) {
            assertThrows(IllegalArgumentException.class, () -> a.mov(size, to, from));
            continue;
          }
          String both = " " + register(size, to) + "," + register(size, from);
          a.mov(size, to, from);
          d.is("mov" + both);
          a.test(size, to, from);
          d.is("test" + both);
          for (int operation = 0; operation < 8; operation++) {
            a.alu(operation, size, to, from);
            d.is(ALU[operation] + both);
          }
        }
      }
    }
    d.compare();
  }

  @Test
  void addressesEveryCombinationOfBaseIndexScaleAndDisplacement() throws IOException {
    for (int base = NONE; base < 16; base++) {
      for (int index = NONE; index < 16; index++) {
        if (index == Assembler.RSP) {
          continue;
        }
        for (int scale = 0; scale < (index == NONE ? 1 : 4); scale++) {
          for (int displacement : DISPLACEMENTS) {
            String address = address(base, index, scale, displacement);
            int reg = base + index + 2 & 15;
            a.lea(8, reg, base, index, scale, displacement);
            boolean sib = base == NONE || index != NONE || (base & 7) == Assembler.RSP;
            int bytes =
                base == NONE
                    ? 4
                    : displacement == 0 && (base & 7) != Assembler.RBP
                        ? 0
                        : small(displacement) ? 1 : 4;
            d.is(3 + (sib ? 1 : 0) + bytes, "lea " + QUAD_WORDS[reg] + "," + address);
          }
        }
      }
    }
    d.compare();
  }

  @Test
  void movesBetweenRegistersAndMemoryInEverySize() throws IOException {
    for (int size : SIZES) {
      for (int register : registersOf(size)) {
        for (int base = 0; base < 16; base++) {
          int displacement = DISPLACEMENTS[(register + base) % DISPLACEMENTS.length];
          int at = base;
          if (register >= Assembler.AH && base >= 8) {
            assertThrows(
                IllegalArgumentException.class, () -> a.load(size, register, at, displacement));
            assertThrows(
                IllegalArgumentException.class, () -> a.store(size, at, displacement, register));
            continue;
          }
          String memory = memory(size, base, displacement);
          String name = register(size, register);
          a.load(size, register, base, displacement);
          d.is("mov " + name + "," + memory);
          a.store(size, base, displacement, register);
          d.is("mov " + memory + "," + name);
          a.lea(size == 1 ? 2 : size, register & 15, base, register & 3, 2, displacement);
          d.is(
              "lea "
                  + register(size == 1 ? 2 : size, register & 15)
                  + ","
                  + address(base, register & 3, 2, displacement));
        }
      }
    }
    d.compare();
  }

  @Test
  void arithmeticWithMemoryAndImmediates() throws IOException {
    for (int operation = 0; operation < 8; operation++) {
      for (int size : SIZES) {
        for (int register : registersOf(size)) {
          for (int value : immediates(size)) {
            a.aluImmediate(operation, size, register, value);
            d.is(ALU[operation] + " " + register(size, register) + "," + immediate(size, value));
          }
          int base = register & 7;
          int index = register == Assembler.RSP ? NONE : register & 15;
          int displacement = DISPLACEMENTS[(register + size) % DISPLACEMENTS.length];
          a.aluLoad(operation, size, register, base, NONE, displacement);
          d.is(
              ALU[operation]
                  + " "
                  + register(size, register)
                  + ","
                  + memory(size, base, displacement));
          if (register < 16) {
            a.aluLoad(operation, size, register, 15 - base, index, displacement);
            d.is(
                ALU[operation]
                    + " "
                    + register(size, register)
                    + ","
                    + pointer(size, address(15 - base, index, 0, displacement)));
          }
        }
        for (int base = 0; base < 16; base++) {
          for (int value : immediates(size)) {
            a.aluStoreImmediate(operation, size, base, 8 * base, value);
            d.is(
                ALU[operation] + " " + memory(size, base, 8 * base) + "," + immediate(size, value));
          }
        }
      }
    }
    d.compare();
  }

  @Test
  void immediatesOfMoveTestAndShift() throws IOException {
    int[] shifts = {Assembler.SHL, Assembler.SHR, Assembler.SAR};
    String[] shiftNames = {"shl", "shr", "sar"};
    for (int size : SIZES) {
      for (int register : registersOf(size)) {
        String name = register(size, register);
        for (int value : immediates(size)) {
          a.testImmediate(size, register, value);
          d.is("test " + name + "," + immediate(size, value));
        }
        for (int s = 0; s < shifts.length; s++) {
          for (int count : new int[] {2, 7, 63}) {
            a.shift(shifts[s], size, register, count);
            d.is(shiftNames[s] + " " + name + ",0x" + Integer.toHexString(count));
          }
        }
      }
      for (int base = 0; base < 16; base++) {
        for (int value : immediates(size)) {
          int displacement = 0x100 - 16 * base;
          String memory = memory(size, base, displacement);
          a.storeImmediate(size, base, displacement, value);
          d.is("mov " + memory + "," + immediate(size, value));
          a.testStoreImmediate(size, base, displacement, value);
          d.is("test " + memory + "," + immediate(size, value));
        }
      }
    }
    d.compare();
  }

  @Test
  void rotationsIntoAnotherRegister() throws IOException {
    for (int to : registersOf(8)) {
      for (int from : registersOf(8)) {
        a.rotateInto(to, from, 7);
        d.is("rorx " + register(8, to) + "," + register(8, from) + ",0x7");
      }
    }
    d.compare();
  }

  @Test
  void threeRegistersInAVexPrefix() throws IOException {
    for (int size : new int[] {4, 8}) {
      for (int one : registersOf(8)) {
        for (int other : registersOf(8)) {
          int third = one + 2 * other & 15;
          String names = register(size, one) + "," + register(size, third) + ",";
          a.vexRegisters(0xf2, 2, size, 0xf6, one, third, other);
          d.is("mulx " + names + register(size, other));
          a.vexRegisters(0, 2, size, 0xf2, one, third, other);
          d.is("andn " + names + register(size, other));
          a.vexRegisters(0xf3, 2, size, 0xf5, one, third, other);
          d.is("pext " + names + register(size, other));
          a.vexRegisters(0, 2, size, 0xf3, 1, third, other);
          d.is("blsr " + register(size, third) + "," + register(size, other));
        }
      }
    }
    d.compare();
  }

  @Test
  void vectorRegistersBehindAVexPrefix() throws IOException {
    for (int size : new int[] {4, 8, 4 | Assembler.VEX_256, 8 | Assembler.VEX_256}) {
      boolean wide = (size & Assembler.VEX_256) != 0;
      String name = wide ? "ymm" : "xmm";
      String pointer = wide ? "YMMWORD" : "XMMWORD";
      for (int one = 0; one < 16; one++) {
        int third = 5 * one + 3 & 15;
        int other = 15 - one;
        a.vexRegisters(0x66, 2, size, 0x98, one, third, other);
        String kind = (size & 8) != 0 ? "pd " : "ps ";
        d.is("vfmadd132" + kind + name + one + "," + name + third + "," + name + other);
        a.vexMemory(0, 1, size & ~8, 0x58, one, third, other, 0x1234);
        String base = register(8, other);
        d.is(
            "vaddps %s%d,%s%d,%s PTR [%s+0x1234]".formatted(name, one, name, third, pointer, base));
      }
      a.vexPlain(size & ~8, 0x77);
      d.is(wide ? "vzeroall" : "vzeroupper");
    }
    d.compare();
  }

  @Test
  void memoryOperandsBehindAVexPrefix() throws IOException {
    for (int base : registersOf(8)) {
      for (int displacement : new int[] {0, 0x7f, 0x1234}) {
        int reg = 15 - base;
        a.vexMemory(0xf2, 2, 8, 0xf6, reg, base, base, displacement);
        d.is(
            "mulx "
                + register(8, reg)
                + ","
                + register(8, base)
                + ",QWORD PTR ["
                + register(8, base)
                + (displacement == 0 && (base & 7) != 5
                    ? "]"
                    : "+0x" + Integer.toHexString(displacement) + "]"));
        a.vexMemory(0x66, 2, 4, 0xf7, reg, 3, base, displacement);
        d.is(
            "shlx "
                + register(4, reg)
                + ",DWORD PTR ["
                + register(8, base)
                + (displacement == 0 && (base & 7) != 5
                    ? "]"
                    : "+0x" + Integer.toHexString(displacement) + "]")
                + ",ebx");
      }
    }
    d.compare();
  }

  @Test
  void constantsTakeTheirShortestForm() throws IOException {
    for (int register = 0; register < 16; register++) {
      int rex = register >= 8 ? 1 : 0;
      for (long value : new long[] {0, 1, 0x7fff_ffff, 0x8000_0000L, 0xffff_ffffL}) {
        a.constant(register, value);
        d.is(5 + rex, "mov " + DOUBLE_WORDS[register] + ",0x" + Long.toHexString(value));
      }
      for (long value : new long[] {-1, -0x8000_0000L}) {
        a.constant(register, value);
        d.is(7, "mov " + QUAD_WORDS[register] + ",0x" + Long.toHexString(value));
      }
      for (long value :
          new long[] {0x1_0000_0000L, -0x8000_0001L, 0x123_4567_89ab_cdefL, Long.MIN_VALUE}) {
        a.constant(register, value);
        d.is(10, "movabs " + QUAD_WORDS[register] + ",0x" + Long.toHexString(value));
      }
    }
    d.compare();
  }

  @Test
  void instructionsOfOneRegister() throws IOException {
    for (int register = 0; register < 16; register++) {
      a.push(register);
      d.is("push " + QUAD_WORDS[register]);
      a.pop(register);
      d.is("pop " + QUAD_WORDS[register]);
      a.jumpRegister(register);
      d.is("jmp " + QUAD_WORDS[register]);
      for (int size : new int[] {2, 4, 8}) {
        a.extended(0, size, 0xf7, 3, register);
        d.is("neg " + register(size, register));
      }
    }
    for (int register : registersOf(1)) {
      for (int condition = 0; condition < 16; condition++) {
        a.setcc(condition, register);
        d.is("set" + CONDITIONS[condition] + " " + register(1, register));
      }
      a.extended(0, 1, 0xf6, 2, register);
      d.is("not " + register(1, register));
    }
    a.ret();
    d.is("ret");
    a.lahf();
    d.is("lahf");
    a.sahf();
    d.is("sahf");
    d.compare();
  }

  @Test
  void operandsOfUnequalSizes() throws IOException {
    for (int to = 0; to < 16; to++) {
      for (int size : new int[] {2, 4, 8}) {
        for (int from : registersOf(1)) {
          int reg = to;
          if (from >= Assembler.AH && (to >= 8 || size == 8)) {
            assertThrows(
                IllegalArgumentException.class,
                () -> a.registers(0, size | Assembler.BYTE_RM, 0x0fb6, reg, from));
            continue;
          }
          a.registers(0, size | Assembler.BYTE_RM, 0x0fb6, to, from);
          d.is("movzx " + register(size, to) + "," + register(1, from));
        }
        for (int from = 0; from < 16; from++) {
          if (size > 2) {
            a.registers(0, size, 0x0fbf, to, from);
            d.is("movsx " + register(size, to) + "," + WORDS[from]);
          }
        }
        int base = 15 - to;
        a.memory(0, size | Assembler.BYTE_RM, 0x0fbe, to, base, NONE, 0, 3);
        d.is("movsx " + register(size, to) + "," + memory(1, base, 3));
      }
    }
    // A byte register in the reg field of what has no byte form of its own.
    for (int reg = 0; reg < 16; reg++) {
      for (int base = 0; base < 16; base++) {
        a.memory(0, 1, 0x86, reg, base, 1, 3, 0x80);
        d.is("xchg " + pointer(1, address(base, 1, 3, 0x80)) + "," + BYTES[reg]);
        a.memory(0, 4 | Assembler.BYTE_REG, 0x88, reg, base, NONE, 0, 0);
        d.is("mov " + memory(1, base, 0) + "," + BYTES[reg]);
        a.registers(0, 4 | Assembler.BYTE_REG | Assembler.BYTE_RM, 0x88, reg, base);
        d.is("mov " + BYTES[base] + "," + BYTES[reg]);
      }
    }
    d.compare();
  }

  @Test
  void prefixesAndLongOpcodes() throws IOException {
    for (int reg = 0; reg < 16; reg++) {
      for (int rm = 0; rm < 16; rm++) {
        String both = " xmm" + reg + ",xmm" + rm;
        String memory = pointer(VECTOR, address(rm, reg == 4 ? NONE : reg, reg == 4 ? 0 : 1, 0x40));
        int index = reg == 4 ? NONE : reg;
        int scale = reg == 4 ? 0 : 1;
        a.registers(0, 4, 0x0f58, reg, rm);
        d.is("addps" + both);
        a.registers(Assembler.P66, 4, 0x0f58, reg, rm);
        d.is("addpd" + both);
        a.registers(Assembler.PF2, 4, 0x0f58, reg, rm);
        d.is("addsd" + both);
        a.registers(Assembler.PF3, 4, 0x0f58, reg, rm);
        d.is("addss" + both);
        a.registers(Assembler.P66, 4, 0x0f3817, reg, rm);
        d.is("ptest" + both);
        a.registers(Assembler.PF2, 8, 0x0f2a, reg, rm);
        d.is("cvtsi2sd xmm" + reg + "," + QUAD_WORDS[rm]);
        a.memory(0, 4, 0x0f29, reg, rm, index, scale, 0x40);
        d.is("movaps " + memory + ",xmm" + reg);
        a.memory(Assembler.P66, 4, 0x0f3a0f, reg, rm, index, scale, 0x40);
        a.int8(5);
        d.is("palignr xmm" + reg + "," + memory + ",0x5");
        for (int size : new int[] {2, 4, 8}) {
          a.registers(Assembler.PF3, size, 0x0fb8, reg, rm);
          d.is("popcnt " + register(size, reg) + "," + register(size, rm));
          a.memory(Assembler.LOCK, size, 0x0fb1, reg, rm, NONE, 0, -8);
          d.is("lock cmpxchg " + memory(size, rm, -8) + "," + register(size, reg));
          a.memory(Assembler.PF2, size, 0x0f38f1, reg, rm, NONE, 0, 0);
          d.is(
              "crc32 " + register(Math.max(size, 4) == 8 ? 8 : 4, reg) + "," + memory(size, rm, 0));
        }
        a.memory(Assembler.LOCK, 1, 0x0fc0, reg, rm, NONE, 0, 0x1000);
        d.is("lock xadd " + memory(1, rm, 0x1000) + "," + BYTES[reg]);
      }
      a.memoryExtended(Assembler.LOCK, 8, 0x0fc7, 1, reg, NONE, 0, 0x10);
      d.is("lock cmpxchg16b " + memory(16, reg, 0x10));
      a.memoryExtended(Assembler.LOCK | Assembler.P66, 2, 0xff, 0, reg, NONE, 0, 0);
      d.is("lock inc " + memory(2, reg, 0));
      a.memoryExtended(0, 4, 0x0fae, 2, reg, Assembler.R9, 3, 0);
      d.is("ldmxcsr " + pointer(4, address(reg, Assembler.R9, 3, 0)));
      a.extended(Assembler.P66, 4, 0x0f73, 2, reg);
      a.int8(9);
      d.is("psrlq xmm" + reg + ",0x9");
      a.jumpIndirect(reg, Assembler.R12, 3, -0x80);
      d.is("jmp " + pointer(8, address(reg, Assembler.R12, 3, -0x80)));
    }
    a.jumpIndirect(NONE, Assembler.RAX, 3, 0x1234);
    d.is("jmp " + pointer(8, address(NONE, Assembler.RAX, 3, 0x1234)));
    d.compare();
  }

  private long here() {
    assertEquals(Disassembly.ORIGIN + a.size(), a.here());
    return a.here();
  }

  private static String to(String mnemonic, long target) {
    return mnemonic + " 0x" + Long.toHexString(target);
  }

  @Test
  void jumpsToHostAddressesBeforeAndBehind() throws IOException {
    final long back = here();
    a.ret();
    d.is("ret");
    for (long target : new long[] {back, Disassembly.ORIGIN - 0x1000, Disassembly.ORIGIN + 5000}) {
      a.jump(target);
      d.is(5, to("jmp", target));
      a.call(target);
      d.is(5, to("call", target));
      for (int condition = 0; condition < 16; condition++) {
        a.jump(condition, target);
        d.is(6, to("j" + CONDITIONS[condition], target));
      }
    }
    long farthest = here() + 5 + Integer.MAX_VALUE;
    a.jump(farthest);
    d.is(to("jmp", farthest));
    assertThrows(IllegalArgumentException.class, () -> a.jump(a.here() + 0x1_0000_0000L));
    assertThrows(IllegalArgumentException.class, () -> a.call(a.here() - 0x1_0000_0000L));
    assertThrows(IllegalArgumentException.class, () -> a.jump(Assembler.E, Long.MIN_VALUE));
    d.compare();
  }

  @Test
  void forwardJumpsLeadWhereTheyAreBound() throws IOException {
    record Jump(int handle, int length, String name) {}

    for (int gap : new int[] {0, 1, 127}) {
      // Where each jump will lead is known beforehand: instructions have known lengths.
      for (int condition = -1; condition < 16; condition++) {
        String name = condition < 0 ? "jmp" : "j" + CONDITIONS[condition];
        long target = a.here() + 2 + gap;
        int jump = condition < 0 ? a.shortForward() : a.shortForward(condition);
        d.is(2, to(name, target));
        fill(gap);
        a.bindShort(jump);

        int length = condition < 0 ? 5 : 6;
        target = a.here() + length + gap;
        jump = condition < 0 ? a.jumpForward() : a.jumpForward(condition);
        d.is(length, to(name, target));
        fill(gap);
        a.bind(jump);
      }
    }
    // Bound to a place of its own, before and behind.
    for (int target : new int[] {0, 3, a.size() - 1}) {
      int jump = a.jumpForward();
      a.bindTo(jump, target);
      d.is(to("jmp", Disassembly.ORIGIN + target));
      jump = a.jumpForward(Assembler.NE);
      a.bindTo(jump, target);
      d.is(to("jne", Disassembly.ORIGIN + target));
    }
    // All at one target, from inside to outside.
    List<Jump> jumps =
        List.of(
            new Jump(a.jumpForward(), 5, "jmp"),
            new Jump(a.jumpForward(Assembler.L), 6, "jl"),
            new Jump(a.shortForward(), 2, "jmp"));
    int end = a.size();
    a.bind(jumps.get(1).handle());
    a.bind(jumps.get(0).handle());
    a.bindShort(jumps.get(2).handle());
    int at = end - 13;
    for (Jump jump : jumps) {
      d.isAt(at, jump.length(), to(jump.name(), Disassembly.ORIGIN + end));
      at += jump.length();
    }
    a.ret();
    d.is("ret");
    d.compare();
  }

  private void fill(int bytes) {
    for (int i = 0; i < bytes; i++) {
      a.int8(0x90);
      d.is(1, "nop");
    }
  }

  @Test
  void shortJumpsThatAreTooFarAreRefused() {
    int jump = a.shortForward();
    for (int i = 0; i < 128; i++) {
      a.int8(0x90);
    }
    assertThrows(IllegalArgumentException.class, () -> a.bindShort(jump));
  }

  @Test
  void alignmentIsOfTheAddressWhereTheCodeRuns() throws IOException {
    a.start(Disassembly.ORIGIN + 3);
    a.align(16);
    assertEquals(13, a.size());
    assertEquals(Disassembly.ORIGIN + 16, a.here());
    a.align(16);
    assertEquals(13, a.size());
    a.ret();
    a.align(4);
    assertEquals(17, a.size());
    byte[] nops = new byte[17];
    java.util.Arrays.fill(nops, (byte) 0x90);
    nops[13] = (byte) 0xc3;
    assertArrayEquals(nops, a.bytes());
  }

  @Test
  void bytesAreLittleEndianAndStartAnew() {
    a.int64(0x0123_4567_89ab_cdefL);
    a.int32(0x1357_9bdf);
    a.int16(0x2468);
    a.int8(0x9a);
    byte[] bytes = {
      (byte) 0xef,
      (byte) 0xcd,
      (byte) 0xab,
      (byte) 0x89,
      0x67,
      0x45,
      0x23,
      0x01,
      (byte) 0xdf,
      (byte) 0x9b,
      0x57,
      0x13,
      0x68,
      0x24,
      (byte) 0x9a
    };
    assertArrayEquals(bytes, a.bytes());
    assertEquals(bytes.length, a.size());
    for (int i = 0; i < bytes.length; i++) {
      assertEquals(bytes[i], a.buffer()[i]);
    }
    a.start(0);
    assertEquals(0, a.size());
    assertEquals(0, a.here());
    // More than the buffer held at first.
    for (int i = 0; i < 20_000; i++) {
      a.int8(i);
    }
    assertEquals(20_000, a.size());
    assertEquals((byte) 19_999, a.bytes()[19_999]);
    assertEquals((byte) 4095, a.buffer()[4095]);
  }
}
