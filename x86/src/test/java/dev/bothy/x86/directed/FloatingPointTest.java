package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.EngineUnderTest;
import dev.bothy.x86.assemble.Assembler;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What x87, MMX and SSE instructions leave behind when they run among others. */
class FloatingPointTest extends EngineTest {
  private static final int PF = 14;
  private static final int MF = 16;
  private static final int XM = 19;

  // With RBX at the data area, its displacement in the last byte.
  private static final String FLD = "dd 43 ";
  private static final String FADD = "dc 43 ";
  private static final String FSTP = "dd 5b ";
  private static final String FLDCW = "d9 6b ";
  private static final String FNSTENV = "d9 73 ";
  private static final String FLD1 = "d9 e8";
  private static final String FNINIT = "db e3";

  private static Assembler start(TestMachine m) {
    m.long64(0).setGpr(RBX, DATA);
    m.state().setInt32(CpuState.X87_CONTROL, 0x37f);
    m.state().setInt32(CpuState.MXCSR, 0x1f80);
    return m.assembler(64);
  }

  private static void assertPointers(TestMachine m, long environment, long ip, int op, long dp) {
    assertEquals((int) ip, m.memory.readInt(environment + 12), "instruction");
    assertEquals(op << 16 | CODE64, m.memory.readInt(environment + 16), "opcode and CS");
    assertEquals((int) dp, m.memory.readInt(environment + 20), "operand");
    assertEquals(FLAT, m.memory.readInt(environment + 24) & 0xffff, "DS");
  }

  @Test
  void environmentNamesTheLastInstructionAndTheLastOperand() {
    try (var m = newMachine()) {
      var a = start(m);
      a.hex(FLD + "08").hex(FLD1);
      long load = a.here();
      a.hex(FLD + "10");
      long add = a.here();
      a.hex(FADD + "18").nop().hex(FNSTENV + "20");
      long one = a.here();
      a.hex(FLD1).hex("d9 7b 00 df e0 db e2 9b").hex(FNSTENV + "40").hlt(); // control instructions
      m.code(64, a);
      m.run();
      assertPointers(m, DATA + 0x20, add, 0x443, DATA + 0x18);
      assertPointers(m, DATA + 0x40, one, 0x1e8, DATA + 0x18);
      assertEquals(add, load + 3);
    }
  }

  @Test
  void pointersSurviveBranches() {
    try (var m = newMachine()) {
      var a = start(m).mov(RCX, 3);
      a.label("loop");
      final long load = a.here();
      a.hex(FLD + "08").hex("de d9").dec(RCX).jnz("loop").jmp("far"); // FCOMPP in between
      a.padTo(CODE + 0x1010).label("far").nop().hex(FNSTENV + "20");
      final long one = a.here();
      a.hex(FLD1).call("call").hlt();
      a.padTo(CODE + 0x2020).label("call").hex(FNSTENV + "40").ret();
      m.code(64, a);
      m.run();
      assertPointers(m, DATA + 0x20, load + 3, 0x6d9, DATA + 8);
      assertPointers(m, DATA + 0x40, one, 0x1e8, DATA + 8);
    }
  }

  @Test
  void initializingClearsPointersUntilTheNextInstruction() {
    try (var m = newMachine()) {
      var a = start(m).hex(FLD + "08").hex(FNINIT).hex(FNSTENV + "20");
      a.hex(FLD + "08").hex(FNINIT);
      long one = a.here();
      a.hex(FLD1).hex(FNSTENV + "40").hex(FLD + "10").hex(FNINIT).jmp("on").label("on");
      m.code(64, a.nop().hlt());
      m.run();
      for (int at = 12; at < 28; at += 4) {
        assertEquals(0, m.memory.readShort(DATA + 0x20 + at), "field at " + at);
      }
      assertEquals((int) one, m.memory.readInt(DATA + 0x4c));
      assertEquals(0, m.memory.readInt(DATA + 0x54));
      assertEquals(0, m.state().get(CpuState.X87_IP));
      assertEquals(0, m.state().get(CpuState.X87_DP));
      assertEquals(0x37f, m.state().getInt32(CpuState.X87_CONTROL));
    }
  }

  @Test
  void instructionThatFaultsLeavesThePointersAlone() {
    try (var m = newMachine()) {
      var a = start(m).mov(RSI, DATA + 0x5000);
      m.page(DATA + 0x5000, 0, 0);
      a.hex(FLD + "08").hex(FLD + "10");
      long one = a.here();
      a.hex(FLD1);
      long fault = a.here();
      m.code(64, a.hex("dd 06").hlt()); // fld qword [rsi]
      m.run();
      assertEquals(PF, m.vector());
      assertEquals(fault, m.stack(8, 1));
      assertEquals(one, m.state().get(CpuState.X87_IP));
      assertEquals(0x1e8, m.state().getInt32(CpuState.X87_OPCODE));
      assertEquals(DATA + 0x10, m.state().get(CpuState.X87_DP));
      assertEquals(5 << 11, m.state().getInt32(CpuState.X87_STATUS));
    }
  }

  @Test
  void operandsOnNewPagesAreMissedInTheMiddleOfABlock() {
    try (var m = newMachine()) {
      double sum = 0;
      for (int n = 0; n < 40; n++) {
        m.memory.writeLong(DATA + 0x8000 + n * 0x1008L, Double.doubleToLongBits(n * 1.25));
        sum += n * 1.25;
      }
      var a = start(m).mov(RSI, DATA + 0x8000).mov(RCX, 40);
      a.hex("d9 eb").hex("0f 57 c0").hex("d9 ee").label("loop"); // fldpi, xorps, fldz
      a.hex("dc 06").hex("f2 0f 58 06").hex("d9 c9 d9 c9"); // fadd, addsd, fxch twice
      a.add(RSI, 0x1008).dec(RCX).jnz("loop");
      a.hex(FSTP + "10").hex("db 7b 20").hex("f2 0f 11 43 18").hlt(); // fstp m80, movsd
      m.code(64, a);
      m.run();
      assertEquals(sum, Double.longBitsToDouble(m.memory.readLong(DATA + 0x10)));
      assertEquals(sum, Double.longBitsToDouble(m.memory.readLong(DATA + 0x18)));
      assertEquals(0xc90f_daa2_2168_c235L, m.memory.readLong(DATA + 0x20));
      assertEquals(0x4000, m.memory.readShort(DATA + 0x28));
      assertEquals(0, m.state().getInt32(CpuState.X87_TAGS));
    }
  }

  @Test
  void registersKeepTheirPlacesThroughInterpretedInstructions() {
    try (var m = newMachine()) {
      var a = start(m);
      for (int n = 0; n < 5; n++) {
        m.memory.writeLong(DATA + 8 * n, Double.doubleToLongBits(1L << n));
        a.hex(FLD).emit(8 * n);
      }
      a.hex(FNSTENV + "40").hex("d9 f7").hex("dd d9"); // fincstp, fstp st1: 8 becomes ST0
      a.hex("d9 f6 d9 f6").hex(FNSTENV + "40").hex("dd c4"); // fdecstp twice, ffree st4
      m.code(64, a.hex("dd b3 00 01 00 00").hlt()); // fnsave [rbx+0x100]
      m.run();
      long image = DATA + 0x100;
      assertEquals(0x1800, m.memory.readShort(image + 4) & 0x3800, "TOP");
      // Empty: R0 to R2, R4 by FSTP, R7 by FFREE.
      assertEquals(0xc33f, m.memory.readShort(image + 8) & 0xffff, "tags");
      int[] exponents = {0x3fff + 4, 0x3fff + 3, 0x3fff + 3, 0x3fff + 1, 0x3fff};
      for (int n = 0; n < 5; n++) {
        assertEquals(1L << 63, m.memory.readLong(image + 28 + 10 * n));
        assertEquals(exponents[n], m.memory.readShort(image + 28 + 10 * n + 8), "ST" + n);
      }
    }
  }

  @Test
  void exceptionUnmaskedInTheMiddleIsRaisedByTheNextInstruction() {
    try (var m = newMachine()) {
      m.memory.writeShort(DATA, 0x37b); // zero divide
      m.memory.writeShort(DATA + 2, 0x37f);
      var a = start(m).hex(FLD1).hex("d9 ee").hex("d8 f1"); // fldz, fdiv st0,st1: 0
      a.hex(FLDCW + "00").hex("d9 e4"); // ftst
      long divide = a.here();
      a.hex("dc f9").mov(RCX, 5); // fdiv st1,st0
      long wait = a.here();
      m.code(64, a.hex("9b").mov(RCX, 6).hlt());
      m.run();
      assertEquals(MF, m.vector());
      assertEquals(wait, m.stack(8, 0));
      assertEquals(5, m.gpr(RCX));
      assertEquals(divide, m.state().get(CpuState.X87_IP));
      assertEquals(0x8084, m.state().getInt32(CpuState.X87_STATUS) & 0x80ff);
    }
  }

  @Test
  void maskedAgainTheSameCodeGoesOn() {
    try (var m = newMachine()) {
      m.memory.writeShort(DATA, 0x37b);
      m.memory.writeShort(DATA + 2, 0xf7f); // truncation
      m.memory.writeLong(DATA + 8, Double.doubleToLongBits(-2.75));
      var a = start(m).mov(RCX, 10).label("loop");
      a.hex(FLDCW + "00").hex(FLD + "08").hex(FLDCW + "02").hex("db 5b 10"); // fistp dword
      m.code(64, a.addRegister(RSI, RCX).dec(RCX).jnz("loop").hlt());
      m.run();
      assertEquals(-2, m.memory.readInt(DATA + 0x10));
      assertEquals(55, m.gpr(RSI));
      assertEquals(0xf7f, m.state().getInt32(CpuState.X87_CONTROL));
      assertEquals(0x20, m.state().getInt32(CpuState.X87_STATUS), "inexact");
    }
  }

  @Test
  void mmxAndX87ShareRegisters() {
    try (var m = newMachine()) {
      m.memory.writeLong(DATA, 0x0102_0304_0506_0708L);
      var a = start(m).hex(FLD1).hex(FLD1).hex("0f 6f 0b").hex("0f fc c9"); // movq, paddb mm1
      m.code(64, a.hex("dd b3 00 01 00 00").hex("0f 77").hlt()); // fnsave, emms
      m.run();
      long image = DATA + 0x100;
      assertEquals(0, m.memory.readShort(image + 4) & 0x3800, "TOP");
      assertEquals(0x0204_0608_0a0c_0e10L, m.memory.readLong(image + 28 + 10));
      assertEquals(0xffff, m.memory.readShort(image + 28 + 18));
      assertEquals(0, m.state().getInt32(CpuState.X87_TAGS));
    }
  }

  @Test
  void controlOfVectorsIsLoadedAndUnmasked() {
    try (var m = newMachine()) {
      m.memory.writeInt(DATA, 0x5f80); // upwards
      m.memory.writeInt(DATA + 4, 0x1d80); // zero divide unmasked
      m.memory.writeLong(DATA + 8, Double.doubleToLongBits(1.25));
      var a = start(m).hex("0f ae 13").hex("f2 0f 2d 43 08"); // ldmxcsr, cvtsd2si eax
      a.hex("0f ae 5b 10").movRegister(RSI, RAX); // stmxcsr
      a.hex("0f 57 c0").hex("f2 0f 10 4b 08").hex("0f ae 53 04"); // xorps, movsd, ldmxcsr
      long divide = a.here();
      m.code(64, a.hex("f2 0f 5e c8").hlt()); // divsd
      m.run();
      assertEquals(XM, m.vector());
      assertEquals(divide, m.stack(8, 0));
      assertEquals(2, m.gpr(RSI));
      assertEquals(0x5fa0, m.memory.readInt(DATA + 0x10));
      assertEquals(0x1d84, m.state().getInt32(CpuState.MXCSR));
    }
  }

  @Test
  void hotCodeIsNotInterpreted() {
    assumeTrue(engine == EngineUnderTest.TRANSLATOR);
    try (var m = newMachine()) {
      m.memory.writeShort(DATA, 0xf7f);
      m.memory.writeInt(DATA + 4, 0x1f80);
      var a = start(m).mov(RCX, 100).mov(RDI, DATA + 0x40).label("loop");
      a.hex(FLDCW + "00").hex(FLD + "08").hex(FADD + "10").hex("d9 fe").hex(FSTP + "18"); // fsin
      a.hex("0f ae 53 04").hex("0f 6f 0b").hex("0f f7 c9").hex("0f 77"); // ldmxcsr .. maskmovq
      a.hex("66 0f f7 c9").hex("f3 0f d6 c1").hex(FNINIT); // maskmovdqu, movq2dq
      m.code(64, a.dec(RCX).jnz("loop").hlt());
      m.run();
      List<String> interpreted =
          m.cpu.counters().keySet().stream().filter(k -> k.startsWith("interpreted.")).toList();
      assertEquals(List.of("interpreted.HLT"), interpreted);
    }
  }
}
