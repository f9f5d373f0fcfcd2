package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** When AVX instructions may run, what they raise, and that nothing of a YMM register is lost. */
class AvxTest extends EngineTest {
  private static final long OSXSAVE = 1 << 18;
  private static final long AVX = 7;
  private static final int ROUNDS = 300;
  private static final int UD = 6;
  private static final int NM = 7;
  private static final int GP = 13;
  private static final int PF = 14;
  private static final int XM = 19;

  /** vaddps ymm0, ymm1, ymm2. */
  private static final String ADD = "c5 f4 58 c2";

  private static CpuState enabled(TestMachine m) {
    CpuState s = m.long64(0);
    s.set(CpuState.CR4, CR4_LONG | OSXSAVE);
    s.set(CpuState.XCR0, AVX);
    s.setInt32(CpuState.MXCSR, 0x1f80);
    return s;
  }

  private static void setYmm(CpuState s, int register, long... longs) {
    for (int i = 0; i < longs.length; i++) {
      s.set(CpuState.VECTORS + CpuState.VECTOR_SIZE * register + 8 * i, longs[i]);
    }
  }

  private static long ymm(TestMachine m, int register, int n) {
    return m.state().get(CpuState.VECTORS + CpuState.VECTOR_SIZE * register + 8 * n);
  }

  private int vectorOf(String code, java.util.function.Consumer<CpuState> changes) {
    try (var m = newMachine()) {
      CpuState s = enabled(m);
      changes.accept(s);
      s.setGpr(RDI, DATA);
      m.code(64, m.assembler(64).hex(code).hlt());
      m.run();
      return m.vector();
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        ADD,
        "c5 f8 77", // vzeroupper
        "c5 f9 6e c0", // vmovd xmm0, eax
        "c5 f8 ae 17", // vldmxcsr [rdi]
        "c4 e2 75 b8 c2", // vfmadd231ps ymm0, ymm1, ymm2
        "c4 e2 7d 13 c1", // vcvtph2ps ymm0, xmm1
        "c4 e2 75 92 04 17" // vgatherdps ymm0, [rdi+ymm2], ymm1
      })
  void isUndefinedUntilTheStateIsEnabledAndNotThereWithTaskSwitched(String code) {
    assertEquals(-1, vectorOf(code, s -> {}));
    assertEquals(UD, vectorOf(code, s -> s.set(CpuState.CR4, CR4_LONG)));
    assertEquals(UD, vectorOf(code, s -> s.set(CpuState.XCR0, 3)));
    assertEquals(UD, vectorOf(code, s -> s.set(CpuState.XCR0, 1)));
    assertEquals(NM, vectorOf(code, s -> s.set(CpuState.CR0, CR0_PAGING | 8)));
    assertEquals(
        UD,
        vectorOf(
            code,
            s -> {
              s.set(CpuState.CR0, CR0_PAGING | 8);
              s.set(CpuState.XCR0, 3);
            }));
    // What enables SSE is of no interest.
    assertEquals(-1, vectorOf(code, s -> s.set(CpuState.CR0, CR0_PAGING | 4)));
    assertEquals(-1, vectorOf(code, s -> s.set(CpuState.CR4, CR4_LONG & ~0x200 | OSXSAVE)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "66 c5 f4 58 c2", // prefixes before VEX
        "f3 c5 f4 58 c2",
        "f2 c5 f4 58 c2",
        "f0 c5 f4 58 c2",
        "48 c5 f4 58 c2",
        "c5 f4 28 c2", // vmovaps with a third register
        "c5 f4 6f c2",
        "c4 e3 75 05 c2 01", // vpermilpd with an immediate
        "c5 f1 c5 c2 00", // vpextrw
        "c5 fd 6e c0", // vmovd of 256 bits
        "c5 f4 16 c2", // vmovlhps
        "c4 e3 75 21 c2 00", // vinsertps
        "c4 e2 71 16 c2", // vpermps of 128 bits
        "c4 e3 71 06 c2 00", // vperm2f128
        "c4 e2 79 1a 07", // vbroadcastf128
        "c4 e2 f5 2c 07", // vmaskmovps with W
        "c4 e2 fd 0e c2", // vtestps with W
        "c4 e3 f5 4a c2 30", // vblendvps with W
        "c4 e2 75 92 c2", // vgatherdps of registers
        "c4 e2 75 92 07", // without SIB
        "c4 e2 75 92 04 07", // mask and destination or index alike
        "c4 e2 6d 92 04 17",
        "c4 e2 7d 92 04 17",
        "c5 f5 f7 c2", // vmaskmovdqu of 256 bits
        "c4 e1 f4 77" // vzeroall with a third register
      })
  void isUndefinedIfThePrefixIsNotRight(String code) {
    assertEquals(UD, vectorOf(code, s -> s.setGpr(RDX, 0)));
  }

  @Test
  void isUndefinedInRealModeButNotInProtectedModeOfSixteenBits() {
    for (String code : new String[] {ADD, "c4 e2 70 f2 c2"}) { // andn eax, ecx, edx
      try (var m = newMachine()) {
        CpuState s = m.real();
        s.set(CpuState.CR4, OSXSAVE | 0x200);
        s.set(CpuState.XCR0, AVX);
        m.code(16, m.assembler(16).hex(code).hlt());
        m.run();
        assertEquals(UD, m.vector(), code);
      }
      try (var m = newMachine()) {
        CpuState s = m.protected16();
        s.set(CpuState.CR4, OSXSAVE | 0x200);
        s.set(CpuState.XCR0, AVX);
        m.code(16, m.assembler(16).hex(code).hlt());
        m.run();
        assertEquals(-1, m.vector(), code);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "c5 fc 28 47 10, 13", // vmovaps ymm0, [rdi+16]
    "c5 fc 29 47 10, 13",
    "c5 fd 6f 47 10, 13", // vmovdqa
    "c5 fd e7 47 10, 13", // vmovntdq
    "c4 e2 7d 2a 47 10, 13", // vmovntdqa
    "c5 f8 28 47 10, -1", // xmm0
    "c5 f8 28 47 08, 13",
    "c5 fc 10 47 11, -1", // vmovups
    "c5 f4 58 47 11, -1", // vaddps
    "c5 f5 fc 47 11, -1", // vpaddb
    "c4 e2 71 dc 47 11, -1", // vaesenc
    "c4 e3 79 61 47 11 00, -1" // vpcmpestri
  })
  void onlyMovesThatSayWantTheirOperandAligned(String code, int vector) {
    assertEquals(vector, vectorOf(code, s -> {}));
  }

  @Test
  void unmaskedExceptionLeavesTheRegisterAndRaisesXm() {
    for (boolean known : new boolean[] {true, false}) {
      try (var m = newMachine()) {
        CpuState s = enabled(m);
        s.setInt32(CpuState.MXCSR, 0x1f80 & ~0x80);
        if (!known) {
          s.set(CpuState.CR4, CR4_LONG & ~0x400 | OSXSAVE);
        }
        setYmm(s, 0, 1, 2, 3, 4);
        setYmm(s, 1, 0, 0, 0, 0x7ff0_0000_0000_0000L);
        setYmm(s, 2, 0, 0, 0, 0xfff0_0000_0000_0000L);
        m.code(64, m.assembler(64).hex("c5 f5 58 c2").hlt()); // vaddpd ymm0, ymm1, ymm2
        m.run();
        assertEquals(known ? XM : UD, m.vector());
        assertEquals(0x1f01, m.state().getInt32(CpuState.MXCSR));
        assertEquals(4, ymm(m, 0, 3));
      }
    }
  }

  /** Operand at RDI, the mask ymm1, the data ymm2; the page behind DATA is missing. */
  @ParameterizedTest
  @ValueSource(strings = {"c4 e2 75 2c 07", "c4 e2 75 2e 17", "c4 e2 75 8c 07", "c4 e2 75 8e 17"})
  void whatTheMaskLeavesOutDoesNotFault(String code) {
    for (int first = 0; first <= 8; first++) {
      int elements = first;
      likeTheInterpreter(
          code,
          m -> {
            CpuState s = enabled(m);
            m.page(DATA + 0x1000, 0, 0);
            s.setGpr(RDI, DATA + 0x1000 - 16);
            for (int i = 0; i < 32; i += 8) {
              m.memory.writeLong(DATA + 0x1000 - 32 + i, 0x0101_0101_0101_0101L * (i + 1));
            }
            long[] mask = new long[4];
            for (int i = 0; i < elements; i++) {
              mask[i >> 1] |= 0x8000_0000L << 32 * (i & 1);
            }
            setYmm(s, 0, 1, 2, 3, 4);
            setYmm(s, 1, mask);
            setYmm(s, 2, 5, 6, 7, 8);
            var a = m.assembler(64).mov(15, ROUNDS).label("loop").hex(code);
            m.code(64, a.dec(15).jnz("loop").hlt());
            m.run();
          },
          m -> {
            assertEquals(elements > 4 ? PF : -1, m.vector());
            if (elements > 4) {
              assertEquals(DATA + 0x1000, m.state().get(CpuState.CR2));
            }
          });
    }
  }

  @Test
  void upperHalvesSurviveWhatComesBetween() {
    likeTheInterpreter(
        "ymm registers",
        m -> {
          CpuState s = enabled(m);
          for (int i = 0; i < 16; i++) {
            setYmm(s, i, 4 * i + 1, 4 * i + 2, 4 * i + 3, 4 * i + 4);
          }
          var a = m.assembler(64).mov(15, ROUNDS).mov(RBX, DATA).mov(RDX, 0x200);
          a.label("loop");
          a.hex("66 0f fe c1"); // paddd xmm0, xmm1: what is above stays
          a.hex("ec"); // in al, dx
          a.hex("c4 e3 7d 19 c2 01"); // vextractf128 xmm2, ymm0, 1
          a.hex("d9 e8 dd d8"); // fld1; fstp st0
          a.hex("c5 f5 fe db"); // vpaddd ymm3, ymm1, ymm3
          a.hex("8b 03"); // mov eax, [rbx]
          a.hex("c5 f1 fe e4"); // vpaddd xmm4, xmm1, xmm4: zeros above
          a.hex("0f 31"); // rdtsc
          a.mov(RDX, 0x200).hex("66 44 0f 6f fd"); // movdqa xmm15, xmm5
          a.add(RBX, 0x1000).dec(15).jnz("loop");
          m.code(64, a.hlt());
          m.run();
        },
        m -> {
          assertEquals(3, ymm(m, 0, 2));
          assertEquals(3, ymm(m, 2, 0));
          assertEquals(0, ymm(m, 2, 2));
          assertEquals(0, ymm(m, 4, 2));
          assertEquals(15 + 7L * ROUNDS, ymm(m, 3, 2));
          assertEquals(4 * 5 + 1, ymm(m, 15, 0));
          assertEquals(4 * 15 + 3, ymm(m, 15, 2));
        });
  }

  @ParameterizedTest
  @CsvSource({"c5 f8 77, 1", "c5 fc 77, 0"})
  void clearingReachesEveryRegister(String code, int kept) {
    likeTheInterpreter(
        code,
        m -> {
          CpuState s = enabled(m);
          for (int i = 0; i < 16; i++) {
            setYmm(s, i, -1, -1, -1, -1);
          }
          m.code(64, m.assembler(64).hex(code).hlt());
          m.run();
        },
        m -> {
          for (int i = 0; i < 16; i++) {
            assertEquals(-kept, ymm(m, i, 0));
            assertEquals(-kept, ymm(m, i, 1));
            assertEquals(0, ymm(m, i, 2));
            assertEquals(0, ymm(m, i, 3));
          }
        });
  }

  @Test
  void clearingInCompatibilityModeReachesTheFirstEight() {
    likeTheInterpreter(
        "vzeroall",
        m -> {
          CpuState s = m.compatibility(0);
          s.set(CpuState.CR4, CR4_LONG | OSXSAVE);
          s.set(CpuState.XCR0, AVX);
          for (int i = 0; i < 16; i++) {
            setYmm(s, i, -1, -1, -1, -1);
          }
          m.code(32, m.assembler(32).hex("c5 fc 77").hlt());
          m.run();
        },
        m -> {
          assertEquals(0, ymm(m, 7, 0));
          assertEquals(-1, ymm(m, 8, 0));
          assertEquals(-1, ymm(m, 8, 3));
        });
  }

  @Test
  void avxCanBeDisabledBelowHotCode() {
    likeTheInterpreter(
        "xsetbv",
        m -> {
          CpuState s = enabled(m);
          var a = m.assembler(64).mov(15, ROUNDS).label("loop").hex(ADD);
          a.dec(15).jnz("loop").mov(15, 1);
          a.mov(RAX, 3).mov(RDX, 0).mov(RCX, 0).hex("0f 01 d1").jmp("loop"); // xsetbv
          m.code(64, a.hlt());
          m.run();
          assertTrue(s.get(CpuState.XCR0) == 3);
        },
        m -> assertEquals(UD, m.vector()));
  }

  @Test
  void gatherThatFaultsKeepsWhatHasCome() {
    likeTheInterpreter(
        "vpgatherdd ymm0, [rdi+ymm2*4], ymm1",
        m -> {
          CpuState s = enabled(m);
          m.page(DATA + 0x1000, 0, 0);
          s.setGpr(RDI, DATA);
          m.memory.writeInt(DATA, 0x1111);
          m.memory.writeInt(DATA + 4, 0x2222);
          setYmm(s, 0, -1, -1, -1, -1);
          setYmm(s, 1, -1, -1, -1, -1);
          setYmm(s, 2, 1L << 32, 0x400, 0, 0);
          m.code(64, m.assembler(64).hex("c4 e2 75 90 04 97").hlt());
          m.run();
        },
        m -> {
          assertEquals(PF, m.vector());
          assertEquals(DATA + 0x1000, m.state().get(CpuState.CR2));
          assertEquals(0x2222_0000_1111L, ymm(m, 0, 0));
          assertEquals(-1, ymm(m, 0, 1));
          assertEquals(0, ymm(m, 1, 0));
          assertEquals(-1, ymm(m, 1, 1));
        });
  }

  @Test
  void misalignedStackOperandIsOfTheStackSegment() {
    assertEquals(GP, vectorOf("c5 fc 28 44 24 08", s -> {})); // vmovaps ymm0, [rsp+8]
  }
}
