package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Faults of instructions that have run hundreds of times before: precise all the same. */
class HotFaultTest extends EngineTest {
  private static final int ROUNDS = 300;

  /** Start of the second of two pages; it is this one that goes away. */
  private static final long EDGE = DATA + 0x6000;

  private static final long PATTERN = 0x5a5a_5a5a_5a5a_5a5aL;
  private static final long MASKED = DATA + 0x1000;
  private static final long UNMASKED = DATA + 0x1040;

  /** Interrupt stack table for a vector: its handler needs nothing of the stack under test. */
  private static void aside(TestMachine m, int vector) {
    m.gate64(vector, CODE64, HANDLERS + 16 * vector, 0x8e, 1);
  }

  /**
   * An instruction with an operand at RBX, RSI or RDI that starts so many bytes before the second
   * page; or with RSP (RBP for LEAVE) so far from its start. The second page is taken away.
   */
  @ParameterizedTest
  @CsvSource({
    "48 8b 03, 4, 0", // mov rax, [rbx]
    "66 8b 03, 1, 0",
    "48 63 03, 2, 0", // movsxd
    "48 0f b6 03, 0, 0", // movzx
    "48 03 03, 7, 0", // add rax, [rbx]
    "48 3b 03, 1, 0", // cmp
    "48 0f af 03, 4, 0", // imul
    "48 f7 23, 4, 0", // mul
    "48 0f 44 03, 4, 0", // cmovz: reads whatever the condition
    "0f c7 0b, 4, 1", // cmpxchg8b
    "48 89 03, 4, 1", // mov [rbx], rax
    "89 03, 1, 1",
    "66 89 03, 1, 1",
    "48 c7 03 11 22 33 44, 4, 1",
    "48 0f c3 03, 3, 1", // movnti
    "48 01 03, 4, 1", // add [rbx], rax
    "f0 48 01 03, 4, 1",
    "48 ff 03, 4, 1", // inc
    "f0 48 ff 0b, 3, 1",
    "48 f7 13, 4, 1", // not
    "48 d1 23, 4, 1", // shl
    "48 87 03, 4, 1", // xchg
    "48 0f c1 03, 4, 1", // xadd
    "f0 48 0f b1 0b, 4, 1", // cmpxchg
    "48 0f ba 2b 05, 4, 1", // bts
    "0f a5 03, 2, 1", // shld
    "50, -4, 1", // push rax
    "66 50, -1, 1",
    "68 11 22 33 44, -4, 1",
    "ff 33, 4, 0", // push [rbx]
    "9c, -4, 1", // pushf
    "e8 00 00 00 00, -4, 1", // call
    "ff d1, -4, 1", // call rcx
    "c8 10 00 00, -4, 1", // enter
    "58, 4, 0", // pop rax
    "66 58, 1, 0",
    "8f 03, 4, 1", // pop [rbx]
    "c9, 4, 0", // leave
    "c3, 4, 0",
    "0f 10 03, 8, 0", // movups
    "0f 11 03, 8, 1",
    "f3 0f 7f 03, 15, 1", // movdqu
    "f2 0f 10 03, 4, 0", // movsd
    "f2 0f 11 03, 4, 1",
    "f3 0f 11 03, 2, 1", // movss
    "66 0f d6 03, 4, 1", // movq
    "0f 17 03, 4, 1", // movhps
    "66 0f 7e 03, 2, 1", // movd
    "f2 0f 58 03, 4, 0", // addsd
    "f2 48 0f 2a 03, 4, 0", // cvtsi2sd
    "66 0f c4 03 01, 1, 0", // pinsrw
    "0f ae 1b, 2, 1", // stmxcsr
    "0f 7f 03, 4, 1", // movq [rbx], mm0
    "d9 03, 2, 0", // fld
    "dd 03, 4, 0",
    "db 2b, 5, 0",
    "df 2b, 4, 0", // fild
    "d8 03, 2, 0", // fadd
    "d9 1b, 2, 1", // fstp
    "dd 1b, 4, 1",
    "db 3b, 9, 1",
    "df 3b, 4, 1", // fistp
    "df 33, 4, 1", // fbstp
    "d9 3b, 1, 1", // fnstcw
    "d9 33, 14, 1", // fnstenv
    "dd 33, 50, 1", // fnsave
    "0f ae 03, 256, 1", // fxsave
    "0f ae 0b, 256, 0", // fxrstor
    "48 a5, 4, 0", // movsq: from rsi
    "48 ab, 4, 1", // stosq
    "48 ad, 4, 0", // lodsq
    "48 af, 4, 0", // scasq
    "48 a7, 4, 0", // cmpsq
    "66 0f f7 c0, 8, 1" // maskmovdqu xmm0, xmm0
  })
  void accessOverAnEdgeFaultsWithoutATraceOnceTheSecondPageIsGone(
      String code, int before, int write) {
    long[] at = new long[1];
    likeTheInterpreter(
        code,
        m -> {
          m.long64(0).set(CpuState.CR4, CR4_LONG);
          aside(m, 14);
          m.memory.writeLong(MASKED, 0x1f80);
          var a = m.assembler(64);
          a.mov(15, ROUNDS).label("loop");
          a.mov(RBX, EDGE - before).movRegister(RSI, RBX).movRegister(RDI, RBX);
          a.movRegister(RSP, RBX).movRegister(RBP, RBX).mov(RAX, 0x1122_3344_5566_7788L);
          a.movLabel(RCX, "next").mov(RDX, 3);
          if (code.equals("8f 03") || code.equals("ff 33")) {
            a.mov(RSP, KERNEL_STACK);
          } else if (code.startsWith("48 a5")) {
            a.mov(RDI, DATA + 0x2000);
          } else if (code.startsWith("48 a7")) {
            a.mov(RDI, DATA + 0x2000);
          } else if (code.equals("c3")) {
            // The word on the stack is the way on.
            a.mov(RCX, EDGE).movLabel(RDX, "next").memory(true, new int[] {0x89}, RDX, RBX, 0);
          } else if (code.startsWith("0f ae 0b")) {
            a.hex("0f ae 03");
          }
          a.hex("db e3 d9 e8 66 0f 6f c0 66 0f ef c0 66 0f 74 c0"); // fninit, fld1, xmm0 all ones
          if (code.equals("0f ae 0b") || code.equals("c3")) {
            // Their operands have just been written: the second page goes only now.
            a.cmp(15, 1).jnz("there").mov(RCX, entryOf(EDGE));
            a.hex("48 c7 01 00 00 00 00").mov(RCX, EDGE).invlpg(RCX).label("there");
          }
          at[0] = a.here();
          a.hex(code).label("next").dec(15).jnz("loop");
          // Once more, without the second page, and with a known first one.
          a.mov(RCX, EDGE - 0x200).mov(RAX, PATTERN);
          for (int i = 0; i < 0x200; i += 8) {
            a.store(RCX, i, RAX);
          }
          a.mov(RCX, entryOf(EDGE)).mov(RAX, 0).store(RCX, 0, RAX).mov(RCX, EDGE).invlpg(RCX);
          m.code(64, a.mov(15, 1).jmp("loop"));
          m.run();
        },
        m -> {
          assertEquals(14, m.vector());
          assertEquals(write * 2, m.stack(8, 0), "error code");
          assertEquals(at[0], m.stack(8, 1), "RIP");
          long last = code.startsWith("0f ae 0") ? 0xff : 0; // FXSAVE, FXRSTOR: of the operand
          assertEquals(EDGE + last, m.state().get(CpuState.CR2));
          assertEquals(EDGE - before, m.stack(8, 4) == KERNEL_STACK ? m.gpr(RBX) : m.stack(8, 4));
          if (!code.equals("0f ae 0b") && !code.equals("c3")) {
            assertEquals(1, m.gpr(15));
            assertEquals(PATTERN, m.memory.readLong(EDGE - 8), "nothing was stored");
            assertEquals(PATTERN, m.memory.readLong(EDGE - 0x200));
          }
        });
  }

  @ParameterizedTest
  @CsvSource({
    // Instruction, offset, vector: GS's base takes each back to a page that there is not
    "65 48 8b 03, 0x800000001000, 13", // mov rax, gs:[rbx]
    "65 48 8b 03, 0x7fffffffeff8, 14",
    "65 48 8b 44 0b f0, 0x800000000010, 13", // mov rax, gs:[rbx + rcx - 16]
    "65 48 89 03, 0x800000000000, 13",
    "65 48 01 03, 0x800000000ff8, 13", // add gs:[rbx], rax
    "65 ff 13, 0x800000000ff8, 13", // call gs:[rbx]
    "65 0f 10 03, 0x800000000ff0, 13", // movups
    "65 d9 03, 0x800000000ff0, 13", // fld
    "65 48 0f a3 0b, 0x800000000ff8, 13", // bt gs:[rbx], rcx
    "65 48 0f a3 13, 0x7fffffffffc0, 13", // bt gs:[rbx], rdx: 0x200 bits further
    "65 48 0f ab 13, 0x800000001200, 13", // bts
    "65 48 a1 00 10 00 00 00 80 00 00, 0, 13" // movabs rax, gs:[0x800000001000]
  })
  void offsetIsToBeCanonicalWhateverTheSegmentsBaseMakesOfIt(String code, String at, int vector) {
    likeTheInterpreter(
        code,
        m -> {
          m.long64(0);
          m.state().set(CpuState.segment(CpuState.GS, CpuState.SEGMENT_BASE), -0x3000);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA + 0x5000).mov(RCX, 0);
          a.mov(RDX, 0x200).movLabel(RSI, "next").mov(RDI, DATA + 0x2000).store(RDI, 0, RSI);
          a.label("loop").hex("65 48 89 33"); // mov gs:[rbx], rsi
          a.hex(code).label("next").dec(15).jnz("loop");
          m.code(64, a.mov(15, 1).mov(RBX, Long.decode(at)).jmp("bad").label("bad").hex(code));
          m.run();
        },
        m -> assertEquals(vector, m.vector()));
  }

  @ParameterizedTest
  @CsvSource({
    // Instruction, how many elements fit before the edge
    "f3 a4, 8, 1",
    "f3 48 a5, 2, 8",
    "f3 aa, 8, 1",
    "f3 48 ab, 2, 8",
    "f3 66 a5, 3, 2"
  })
  void repeatedStoreStopsAtTheEdgeWithWhatItHasDone(String code, int whole, int size) {
    likeTheInterpreter(
        code,
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, ROUNDS).label("loop");
          a.mov(RSI, DATA + 0x2000).mov(RDI, EDGE - (long) whole * size - 1);
          a.mov(RCX, 40).mov(RAX, 0x77).hex(code).dec(15).jnz("loop");
          a.mov(RCX, entryOf(EDGE)).mov(RAX, 0).store(RCX, 0, RAX).mov(RCX, EDGE).invlpg(RCX);
          m.code(64, a.mov(15, 1).jmp("loop"));
          m.run();
        },
        m -> {
          assertEquals(14, m.vector());
          long done = size == 1 ? whole + 1 : whole;
          assertEquals(40 - done, m.gpr(RCX));
          assertEquals(EDGE - (size == 1 ? 0 : 1), m.gpr(RDI));
          assertEquals(EDGE, m.state().get(CpuState.CR2));
        });
  }

  @ParameterizedTest
  @CsvSource({
    // Division of rDX:rAX by rBX, or [rSI]; good operands; bad ones
    "f6 f3, 0, 100, 7, 0, 100, 0", // div bl
    "f6 f3, 0, 100, 7, 0, 0x700, 7",
    "66 f7 f3, 1, 0, 7, 1, 0, 0",
    "66 f7 f3, 1, 0, 7, 7, 0, 7",
    "f7 f3, 1, 0, 7, 1, 0, 0",
    "f7 f3, 1, 0, 7, 7, 0, 7",
    "48 f7 f3, 1, 0, 7, 1, 0, 0",
    "48 f7 f3, 1, 0, 7, 7, 0, 7",
    "f6 fb, 0, 100, -7, 0, 100, 0", // idiv bl
    "f6 fb, 0, 100, -7, 0, 0xff80, -1",
    "66 f7 fb, -1, -100, 7, -1, -100, 0",
    "66 f7 fb, -1, -100, 7, -1, -32768, -1",
    "f7 fb, -1, -100, 7, -1, -100, 0",
    "f7 fb, -1, -100, 7, -1, -2147483648, -1",
    "48 f7 fb, -1, -100, 7, -1, -100, 0",
    "48 f7 fb, -1, -100, 7, -1, -9223372036854775808, -1",
    "48 f7 fb, 1, 0, 7, 5, 0, 7",
    "f6 36, 0, 100, 7, 0, 100, 0", // div byte [rsi]
    "f7 36, 1, 0, 7, 1, 0, 0",
    "48 f7 36, 1, 0, 7, 9, 0, 3",
    "48 f7 3e, -1, -100, 7, -1, -9223372036854775808, -1"
  })
  void divisionThatWentWellForLongFaultsWhenItMust(
      String code, long rdx, String rax, long rbx, long badRdx, String badRax, long badRbx) {
    long[] at = new long[1];
    likeTheInterpreter(
        code,
        m -> {
          CpuState s = m.long64(3);
          s.setGpr(8, Long.decode(rax));
          s.setGpr(9, rdx);
          s.setGpr(RBX, rbx);
          var a = m.assembler(64).mov(RSI, DATA).mov(15, ROUNDS).label("loop");
          a.store(RSI, 0, RBX).movRegister(RAX, 8).movRegister(RDX, 9).hex("f9"); // stc
          at[0] = a.here();
          a.hex(code).addRegister(14, RAX).dec(15).jnz("loop");
          a.mov(8, Long.decode(badRax)).mov(9, badRdx).mov(RBX, badRbx).mov(15, 1);
          m.code(64, a.jmp("loop"));
          m.run();
        },
        m -> {
          assertEquals(0, m.vector());
          assertEquals(at[0], m.stack(8, 0));
          assertEquals(Long.decode(badRax), m.gpr(RAX));
          assertEquals(badRdx, m.gpr(RDX));
          assertEquals(1, m.gpr(15));
        });
  }

  @ParameterizedTest
  @CsvSource({
    "f2 0f 5e c1, 4", // divsd xmm0, xmm1: by zero
    "0f 5e c1, 4", // divps
    "f2 0f 51 c2, 1", // sqrtsd of -1
    "f2 0f 2c c3, 1", // cvttsd2si of infinity
    "66 0f 2e c4, 1", // ucomisd with a signalling NaN
    "f2 0f 5a c5, 8", // cvtsd2ss overflows
    "f2 0f 59 c6, 16", // mulsd underflows
    "f2 0f 58 c7, 2", // addsd of a denormal
    "f2 0f 5e 06, 4" // divsd xmm0, [rsi]
  })
  void unmaskedVectorExceptionComesInTheMiddleOfHotCode(String code, int flag) {
    long[] at = new long[1];
    likeTheInterpreter(
        code,
        m -> {
          m.long64(3);
          m.memory.writeLong(MASKED, 0x1f80);
          m.memory.writeLong(UNMASKED, 0x1f80 & ~(flag << 7));
          long[] values = {
            Double.doubleToRawLongBits(1),
            0,
            Double.doubleToRawLongBits(-1),
            Double.doubleToRawLongBits(Double.POSITIVE_INFINITY),
            0x7ff0_0000_0000_0001L,
            Double.doubleToRawLongBits(1e300),
            Double.doubleToRawLongBits(1e-320),
            1
          };
          for (int i = 0; i < values.length; i++) {
            m.memory.writeLong(DATA + 8 * i, values[i]);
          }
          m.memory.writeLong(DATA + 0x100, Double.doubleToRawLongBits(1e-300));
          var a = m.assembler(64).mov(15, ROUNDS).mov(13, MASKED).mov(RSI, DATA + 8);
          a.label("loop").mov(RBX, DATA).mov(RCX, DATA + 0x100);
          for (int i = 0; i < 8; i++) {
            a.hex("f2 0f 10").emit(0x43 | i << 3, 8 * i); // movsd xmm i, [rbx + 8 i]
          }
          if (flag == 16) {
            a.hex("f2 0f 10 01"); // movsd xmm0, [rcx]
          }
          a.hex("41 0f ae 55 00"); // ldmxcsr [r13]
          at[0] = a.here();
          a.hex(code).hex("0f ae 5b 78").dec(15).jnz("loop"); // stmxcsr [rbx+0x78]
          m.code(64, a.mov(13, UNMASKED).mov(15, 1).jmp("loop"));
          m.run();
        },
        m -> {
          assertEquals(19, m.vector());
          assertEquals(at[0], m.stack(8, 0));
          assertEquals(flag, m.state().getInt32(CpuState.MXCSR) & flag);
          assertNotEquals(0, m.memory.readInt(DATA + 0x78) & flag, "it was there all the time");
        });
  }

  @ParameterizedTest
  @CsvSource({
    "d9 e8 d9 ee de f9, 4", // 1 / 0
    "d9 e8 d9 e0 d9 fa, 1", // square root of -1
    "de c1, 1", // an empty stack
    "d9 e8 d9 eb de f9, 32" // 1 / pi is inexact
  })
  void unmaskedX87ExceptionComesWithTheNextWaitingInstruction(String code, int flag) {
    long[] at = new long[1];
    likeTheInterpreter(
        code,
        m -> {
          m.long64(3);
          m.memory.writeLong(MASKED, 0x37f);
          m.memory.writeLong(UNMASKED, 0x37f & ~flag);
          var a = m.assembler(64).mov(15, ROUNDS).mov(13, MASKED).mov(RBX, DATA);
          a.label("loop").hex("db e3 41 d9 6d 00").hex(code); // fninit; fldcw [r13]
          a.inc(14).hex("dd 7b 08"); // fnstsw [rbx+8]: waits for nothing
          at[0] = a.here();
          a.hex("dd 13").dec(15).jnz("loop"); // fst [rbx]
          m.code(64, a.mov(13, UNMASKED).mov(15, 1).jmp("loop"));
          m.run();
        },
        m -> {
          assertEquals(16, m.vector());
          assertEquals(at[0], m.stack(8, 0));
          assertEquals(ROUNDS + 1, m.gpr(14));
          assertEquals(flag | 0x8080, m.state().getInt32(CpuState.X87_STATUS) & (flag | 0x8080));
        });
  }

  @ParameterizedTest
  @CsvSource({"0f 58 c1", "d8 c1", "0f fc c1", "66 0f ef c0"})
  void taskSwitchedFlagStopsHotCodeAtItsNextFloatingInstruction(String code) {
    long[] at = new long[1];
    likeTheInterpreter(
        code,
        m -> {
          m.long64(0);
          var a = m.assembler(64).mov(15, ROUNDS).label("loop");
          at[0] = a.here();
          a.hex(code).dec(15).jnz("loop");
          a.movFromControl(RAX, 0).hex("48 83 c8 08").movToControl(0, RAX).mov(15, 1);
          m.code(64, a.jmp("loop"));
          m.run();
        },
        m -> {
          assertEquals(7, m.vector());
          assertEquals(at[0], m.stack(8, 0));
        });
  }

  @ParameterizedTest
  @CsvSource({"0x1f80, 0x3f80, 0x5f80, 0x7f80"})
  void roundingModeChangesBetweenInstructionsOfHotCode(
      String nearest, String down, String up, String zero) {
    likeTheInterpreter(
        "rounding",
        m -> {
          m.long64(3);
          String[] modes = {nearest, down, up, zero};
          for (int i = 0; i < 4; i++) {
            m.memory.writeInt(DATA + 4 * i, Integer.decode(modes[i]));
            m.memory.writeShort(DATA + 0x20 + 2 * i, 0x37f | i << 10);
          }
          m.memory.writeLong(DATA + 0x40, Double.doubleToRawLongBits(-2.5));
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA).label("loop");
          for (int i = 0; i < 4; i++) {
            a.hex("0f ae 53").emit(4 * i).hex("f2 48 0f 2d 43 40"); // ldmxcsr; cvtsd2si rax
            a.store(RBX, 0x80 + 8 * i, RAX);
            a.hex("d9 6b").emit(0x20 + 2 * i); // fldcw
            a.hex("dd 43 40 df 7b").emit(0x60 + 8 * (i & 1)); // fld; fistp
            a.load(RAX, RBX, 0x60 + 8 * (i & 1)).store(RBX, 0xa0 + 8 * i, RAX);
          }
          m.code(64, a.dec(15).jnz("loop").hlt());
          m.gate64(13, CODE64, HANDLERS + 13 * 16, 0x8e, 0);
          m.run();
        },
        m -> {
          long[] expected = {-2, -3, -2, -2};
          for (int i = 0; i < 4; i++) {
            assertEquals(expected[i], m.memory.readLong(DATA + 0x80 + 8 * i), "SSE " + i);
            assertEquals(expected[i], m.memory.readLong(DATA + 0xa0 + 8 * i), "x87 " + i);
          }
        });
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void protectionFaultOfHotCode(boolean user) {
    long[] at = new long[1];
    likeTheInterpreter(
        "read-only",
        m -> {
          m.long64(user ? 3 : 0);
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA + 0x7000).label("loop");
          a.load(RAX, RBX, 8).inc(RAX);
          at[0] = a.here();
          a.store(RBX, 8, RAX).dec(15).jnz("loop").hlt();
          m.code(64, a);
          m.run();
          if (user) {
            // HLT is for the kernel.
            m.long64(3);
          } else {
            m.long64(0);
          }
          m.page(DATA + 0x7000, DATA + 0x7000, P | U);
          m.run();
        },
        m -> {
          assertEquals(14, m.vector());
          assertEquals(user ? 7 : 3, m.stack(8, 0));
          assertEquals(at[0], m.stack(8, 1));
          assertEquals(ROUNDS, m.memory.readLong(DATA + 0x7008));
          assertEquals(ROUNDS + 1, m.gpr(RAX));
        });
  }
}
