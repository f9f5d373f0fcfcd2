package dev.bothy.x86.verify;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bothy.core.Exit;
import dev.bothy.core.cpu.CpuModel;
import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(300)
class VerifyEngineTest {
  private static final int RAX = CpuState.RAX;
  private static final int RCX = CpuState.RCX;
  private static final int RBX = CpuState.RBX;
  private static final int RSI = CpuState.RSI;

  private static final long DATA = 0x2_0000;

  /** Sums words of {@link #DATA}, one a round, and stores the sum behind them. */
  private static Assembler sums(int rounds) {
    return new Assembler(32, SmallMachine.CODE)
        .mov32(RSI, DATA)
        .mov32(RCX, rounds)
        .label("round")
        .hex("03 06") // add eax,[esi]
        .hex("89 86 00 10 00 00") // mov [esi+0x1000],eax
        .add(RSI, 4)
        .dec(RCX)
        .jnz("round");
  }

  @Test
  void guestRunsAsOnOneEngineAndEverythingIsCompared() {
    try (var m = new SmallMachine(100, 1000)) {
      for (int i = 0; i < 1000; i++) {
        m.memory.writeInt(DATA + 4 * i, i);
      }
      m.code(sums(1000).hlt());
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1_000_000));
      assertEquals(499_500, m.state().gpr(RAX));
      assertEquals(499_500, m.memory.readInt(DATA + 0x1000 + 4 * 999));
      assertEquals(2 + 5 * 1000 + 1, m.counter("verifiedInstructions"));
      assertTrue(m.counter("verifiedStretches") > 30);
      assertTrue(m.counter("comparisonsOfAllRam") >= 4);
      assertTrue(m.counter("instructionsTranslated") >= 5);
      assertEquals(0, m.counter("unverifiedStretches"));
    }
  }

  @Test
  void whatTheWorldAnswersIsAskedOnceAndTheSameForBoth() {
    try (var m = new SmallMachine(50, 1 << 20)) {
      var a = new Assembler(32, SmallMachine.CODE).mov32(RCX, 500).label("round");
      a.hex("e4 42 01 c3") // in al,0x42; add ebx,eax
          .hex("0f 31 01 c3") // rdtsc; add ebx,eax
          .hex("0f c7 f0 01 c3") // rdrand eax; add ebx,eax
          .hex("8b 05 00 00 00 f0 01 c3") // mov eax,[0xf0000000]; add ebx,eax
          .hex("88 d8 e6 43") // mov al,bl; out 0x43,al
          .dec(RCX)
          .jnz("round")
          .hlt();
      m.code(a);
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1_000_000));
      assertEquals(500, m.portReads);
      assertEquals(500, m.portWrites);
      assertEquals(500, m.mmioReads);
      assertEquals(500, m.clockReads);
    }
  }

  @Test
  void identityIsToldByBothWithTheSameQuestionsToTheWorld() {
    try (var m = new SmallMachine(50, 1 << 20)) {
      var a = new Assembler(32, SmallMachine.CODE).mov32(RSI, 500).label("round");
      for (long leaf : new long[] {0, 1, 7, 0x8000_0001L}) {
        a.mov32(RAX, leaf).hex("0f a2"); // cpuid
      }
      m.code(a.dec(RSI).jnz("round").hlt());
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1_000_000));
      assertEquals(0, m.state().gpr(RSI));
    }
  }

  @Test
  void interruptsArriveAtBothBetweenTheSameInstructions() {
    try (var m = new SmallMachine(20, 1 << 20)) {
      m.apic.wanted = 200;
      m.handler(0x40, new Assembler(32, SmallMachine.HANDLER).push(RAX).inc(RBX).pop(RAX).iret());
      m.code(
          new Assembler(32, SmallMachine.CODE)
              .sti()
              .label("round")
              .pushf()
              .pop(RAX)
              .cmp(RBX, 200)
              .jnz("round")
              .cli()
              .hlt());
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1_000_000));
      assertEquals(0, m.apic.wanted);
      assertEquals(200, m.state().gpr(RBX));
    }
  }

  /** Calls of all kinds and an interrupt, each with its target, on a shadow stack. */
  @Test
  void enforcedControlFlowIsTheSameOnBoth() {
    try (var m = new SmallMachine(30, 1000, CpuModel.parse("v3,+shstk,+ibt"))) {
      CpuState s = m.state();
      s.set(CpuState.CR0, 0x1_0031);
      s.set(CpuState.CR4, 1 << 23);
      s.set(CpuState.S_CET, 5);
      s.set(CpuState.SSP, 0xb000);
      m.handler(
          0x30,
          new Assembler(32, SmallMachine.HANDLER)
              .hex("f3 0f 1e fb") // endbr32
              .hex("f3 0f 1e c8 01 c3") // rdsspd eax; add ebx,eax
              .iret());
      m.code(
          new Assembler(32, SmallMachine.CODE)
              .mov32(RCX, 3000)
              .label("round")
              .call("f")
              .movLabel(RAX, "g")
              .hex("ff d0") // call eax
              .interrupt(0x30)
              .dec(RCX)
              .jnz("round")
              .hlt()
              .label("f")
              .movLabel(RAX, "h")
              .hex("ff e0") // jmp eax
              .label("g")
              .hex("f3 0f 1e fb")
              .call("f")
              .ret()
              .label("h")
              .hex("f3 0f 1e fb")
              .inc(RSI)
              .ret());
      s.setGpr(RSI, 0);
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1_000_000));
      assertEquals(6000, m.state().gpr(RSI));
      assertEquals(0xb000, m.state().get(CpuState.SSP));
      assertTrue(m.counter("instructionsTranslated") >= 5);
    }
  }

  @Test
  void undefinedFlagsMayDifferWhereverTheyArePushed() {
    try (var m = new SmallMachine(50, 1 << 20)) {
      m.handler(0x30, new Assembler(32, SmallMachine.HANDLER).iret());
      var a = new Assembler(32, SmallMachine.CODE).mov32(RCX, 500).label("round");
      // SHR, SAR and SHL leave AF and OF undefined; PUSHF and INT store them.
      a.mov32(RBX, 0x1234_5678)
          .hex("c1 eb 03") // shr ebx,3
          .pushf()
          .pop(RAX)
          .hex("c1 fb 02") // sar ebx,2
          .interrupt(0x30)
          .hex("c1 e3 05") // shl ebx,5
          .call("routine")
          .push(RCX)
          .mov32(RBX, 1)
          .hex("f3 0f bc cb d3 eb") // tzcnt ecx,ebx; shr ebx,cl: by 0, so that PF stays undefined
          .pop(RCX)
          .pushf()
          .pop(RAX)
          .dec(RCX)
          .jnz("round")
          .hlt();
      m.code(a.label("routine").pushf().popf().ret());
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1_000_000));
      assertEquals(0, m.counter("unverifiedStretches"));
    }
  }

  @Test
  void differenceIsNarrowedToTheInstructionThatMakesIt() {
    try (var m = SmallMachine.withOtherPorts(1000, 9)) {
      var a = new Assembler(32, SmallMachine.CODE).mov32(RCX, 300).label("round");
      a.inc(RBX)
          .cmp(RCX, 100)
          .jnz("on")
          .hex("e4 42") // in al,0x42
          .label("on")
          .addRegister(RBX, RAX)
          .dec(RCX)
          .jnz("round")
          .hlt();
      m.code(a);
      String report = assertInstanceOf(Exit.Failed.class, m.cpu.run(1_000_000)).report();
      int count = 1 + 200 * 6 + 4;
      assertTrue(report.contains("differ after " + count + " instructions\n"), report);
      assertTrue(report.contains("made no read of port 0x42, 1 byte\n"), report);
      assertTrue(report.matches("(?s).*RAX +3 +9\n.*"), report);
      assertTrue(report.endsWith("in al,0x42\n"), report);
    }
  }

  @Test
  void differentMemoryIsFoundWhenItIsRead() {
    try (var m = new SmallMachine(100, 1 << 30)) {
      m.code(sums(1000).hlt());
      assertInstanceOf(Exit.BudgetSpent.class, m.cpu.run(100));
      m.engine.twin().writeInt(DATA + 4 * 600, 7);
      String report = assertInstanceOf(Exit.Failed.class, m.cpu.run(1_000_000)).report();
      assertTrue(report.matches("(?s).*RAX +0 +7\n.*"), report);
      assertTrue(report.matches("(?s).*RAM at 20960 +0 +7\n.*"), report);
      assertTrue(report.contains("They agree when the stretch is run again"), report);
      assertTrue(report.contains("add eax,dword ptr [esi]"), report);
    }
  }

  @Test
  void differentMemoryIsFoundThoughNothingReadsIt() {
    try (var m = new SmallMachine(100, 500)) {
      m.code(sums(1000).hlt());
      assertInstanceOf(Exit.BudgetSpent.class, m.cpu.run(100));
      m.engine.twin().writeInt(0x8_0010, 0x1234);
      String report = assertInstanceOf(Exit.Failed.class, m.cpu.run(1_000_000)).report();
      assertTrue(report.matches("(?s).*RAM at 80010 +0 +1234\n.*"), report);
    }
  }

  @Test
  void differentQuestionsToTheWorldAreFound() {
    try (var m = new SmallMachine(100, 1 << 30)) {
      m.memory.writeByte(DATA, 5);
      m.code(
          sums(200)
              .hex("a0 00 00 02 00") // mov al,[DATA]
              .hex("e6 43") // out 0x43,al
              .hlt());
      assertInstanceOf(Exit.BudgetSpent.class, m.cpu.run(100));
      m.engine.twin().writeByte(DATA, 6);
      String report = assertInstanceOf(Exit.Failed.class, m.cpu.run(1_000_000)).report();
      assertTrue(report.contains("write to port 0x43, value 0x6"), report);
      assertTrue(report.contains("instead of write to port 0x43, value 0x5"), report);
      assertEquals(1, m.portWrites);
    }
  }

  @Test
  void refusesMoreThanOneProcessor() {
    String message =
        assertThrows(
                UnsupportedOperationException.class,
                () -> new SmallMachine(100, 100, 2, UnaryOperator.identity()))
            .getMessage();
    assertEquals("it checks machines with one processor, not 2", message);
  }
}
