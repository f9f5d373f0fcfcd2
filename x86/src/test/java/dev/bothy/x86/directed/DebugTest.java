package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DebugTest extends EngineTest {
  private static final long DR6_CLEAR = 0xffff_0ff0L;
  private static final int STEP = 1 << 14;

  /**
   * Runs code whose #DB handler writes down RIP and DR6 of every trap; returns them, RIP relative
   * to the code.
   */
  private static List<Long> traps(TestMachine m, Assembler code) {
    long log = DATA + 0x10_0000;
    var handler = new Assembler(64, 0x11_0000);
    handler
        .push(RAX)
        .push(RDX)
        .movFromDebug(RAX, 6)
        .store(15, 8, RAX)
        .load(RAX, RSP, 16)
        .store(15, 0, RAX);
    handler.add(15, 16).mov(RAX, DR6_CLEAR).movToDebug(6, RAX).pop(RDX).pop(RAX).iret();
    m.memory.write(0x11_0000, handler.toBytes());
    m.gate64(1, CODE64, 0x11_0000, 0x8e, 1); // its stack is out of the way of breakpoints
    m.state().setGpr(15, log);
    m.code(64, code);
    m.run();
    List<Long> found = new ArrayList<>();
    for (long at = log; at < m.gpr(15); at += 16) {
      found.add(m.memory.readLong(at) - CODE);
      found.add(m.memory.readLong(at + 8) & ~DR6_CLEAR);
    }
    return found;
  }

  private static List<Long> steps(long... offsets) {
    List<Long> expected = new ArrayList<>();
    for (long offset : offsets) {
      expected.add(offset);
      expected.add((long) STEP);
    }
    return expected;
  }

  @Test
  void singleStepTrapsAfterEachInstruction() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x102);
      var a = m.assembler(64).nop().inc(RAX).jmp("on").nop().label("on").nop();
      assertEquals(steps(1, 4, 10, 11, 16, 17), traps(m, a.pushConstant(2).popf().hlt()));
    }
  }

  @Test
  void popfThatSetsTheFlagTrapsAfterTheNextInstructionAndTheOneThatClearsItStillTraps() {
    try (var m = newMachine()) {
      m.long64(0);
      var a =
          m.assembler(64).pushConstant(0x102).popf().nop().nop().pushConstant(2).popf().nop().hlt();
      // push 5, popf 1: the trap comes after the first nop, at 7.
      assertEquals(steps(7, 8, 13, 14), traps(m, a));
    }
  }

  @Test
  void repeatedStringInstructionTrapsAfterEachIteration() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setGpr(RCX, 3);
      s.setGpr(RSI, DATA);
      s.setGpr(RDI, DATA + 0x100);
      var a = m.assembler(64).pushConstant(0x102).popf().hex("f3 a4").pushConstant(2).popf().hlt();
      assertEquals(steps(6, 6, 8, 13, 14), traps(m, a));
      assertEquals(0, m.gpr(RCX));
    }
  }

  @Test
  void movToStackSegmentDelaysTheTrap() {
    try (var m = newMachine()) {
      m.long64(0).setGpr(RBX, FLAT);
      var a =
          m.assembler(64)
              .pushConstant(0x102)
              .popf()
              .movToSegment(CpuState.SS, RBX)
              .nop()
              .nop()
              .pushConstant(2)
              .popf()
              .hlt();
      assertEquals(steps(9, 10, 15, 16), traps(m, a));
    }
  }

  @Test
  void movToStackSegmentLosesItsOwnTrap() {
    try (var m = newMachine()) {
      m.long64(0).setGpr(RBX, FLAT);
      var a =
          m.assembler(64)
              .pushConstant(0x102)
              .popf()
              .movToSegment(CpuState.SS, RBX)
              .hex("f1")
              .nop()
              .pushConstant(2);
      List<Long> expected = new ArrayList<>(List.of(9L, 0L));
      expected.addAll(steps(10, 15, 16));
      assertEquals(expected, traps(m, a.popf().hlt()));
    }
  }

  @Test
  void dataBreakpointThatMovToStackSegmentPutsOffIsReportedByTheInterruptBehindIt() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR, DATA);
      s.set(CpuState.DR + 8 * 7, 0x400 | 2 | 0xfL << 16);
      s.setGpr(RBX, DATA);
      m.memory.writeShort(DATA, FLAT);
      assertEquals(List.of(3L, 1L), traps(m, m.assembler(64).hex("8e 13 f1").nop().hlt()));
    }
  }

  @Test
  void sysretThatSetsTheFlagTrapsBeforeTheNextInstruction() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.LSTAR, 0x12_0000);
      s.set(CpuState.SFMASK, 0x100);
      s.setGpr(RCX, CODE + 3);
      s.setGpr(11, 0x102);
      m.memory.writeByte(0x12_0000, 0xf4);
      assertEquals(steps(3), traps(m, m.assembler(64).sysret(true).syscall()));
    }
  }

  @Test
  void softwareInterruptIsNotSteppedInto() {
    try (var m = newMachine()) {
      m.long64(0);
      m.memory.write(HANDLERS + 0x400, new byte[] {(byte) 0x90, 0x48, (byte) 0xcf});
      var a =
          m.assembler(64)
              .pushConstant(0x102)
              .popf()
              .interrupt(0x40)
              .nop()
              .pushConstant(2)
              .popf()
              .hlt();
      assertEquals(steps(9, 14, 15), traps(m, a));
    }
  }

  @Test
  void syscallThatMasksTheFlagIsNotSteppedInto() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.LSTAR, 0x12_0000);
      s.set(CpuState.SFMASK, 0x100);
      m.memory.writeByte(0x12_0000, 0xf4);
      assertEquals(List.of(), traps(m, m.assembler(64).pushConstant(0x102).popf().syscall()));
    }
  }

  @Test
  void faultingInstructionDoesNotTrap() {
    try (var m = newMachine()) {
      m.long64(0).set(CpuState.RFLAGS, 0x102);
      assertEquals(List.of(), traps(m, m.assembler(64).hex("0f 0b")));
      assertEquals(6, m.vector());
      assertEquals(0x1_0102, m.stack(8, 2));
    }
  }

  @Test
  void codeBreakpointFaultsBeforeTheInstructionOnceThanksToResume() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR, CODE + 3);
      s.set(CpuState.DR + 8 * 7, 0x402);
      var a = m.assembler(64).inc(RAX).inc(RBX).hlt();
      // The handler returns to it with RF as it was pushed.
      assertEquals(List.of(3L, 1L), traps(m, a));
      assertEquals(1, m.gpr(RBX));
      assertEquals(2, m.state().get(CpuState.RFLAGS), "RF is gone");
    }
  }

  @Test
  void codeBreakpointInALoopHitsEachTime() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR + 8, CODE);
      s.set(CpuState.DR + 8 * 7, 0x404);
      s.setGpr(RAX, 3);
      assertEquals(
          List.of(0L, 2L, 0L, 2L, 0L, 2L),
          traps(m, m.assembler(64).label("l").dec(RAX).jnz("l").hlt()));
    }
  }

  @Test
  void dataBreakpointsTrapAfterTheAccess() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR, DATA + 0x104);
      s.set(CpuState.DR + 8 * 7, 0x400 | 2 | 0xdL << 16); // write, 4 bytes
      s.setGpr(RBX, DATA + 0x100);
      var a = m.assembler(64);
      a.hex("48 8b 03"); // reads: nothing
      a.hex("88 03"); // 1 byte before
      a.hex("48 89 03"); // 8 bytes, overlapping
      a.hex("48 83 43 06 01"); // read, modify, write
      a.hex("88 43 08"); // behind
      a.nop();
      assertEquals(List.of(8L, 1L, 13L, 1L), traps(m, a.hlt()));
    }
  }

  @Test
  void readBreakpointsSeeReadsAndPushesAndStrings() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR + 16, KERNEL_STACK - 0x108);
      s.set(CpuState.DR + 8 * 7, 0x400 | 0x20 | 0xbL << 24); // read and write, 8 bytes
      s.setGpr(RSI, KERNEL_STACK - 0x110);
      s.setGpr(RDI, DATA);
      s.setGpr(RCX, 4);
      s.setGpr(RBX, KERNEL_STACK - 0x100);
      var a =
          m.assembler(64).hex("f3 48 a5").hex("48 87 e3").push(RAX).pop(RAX).hex("48 87 e3").nop();
      assertEquals(List.of(0L, 4L, 7L, 4L, 8L, 4L), traps(m, a.hlt()));
    }
  }

  @Test
  void faultingInstructionReportsNoDataBreakpoint() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR, DATA);
      s.set(CpuState.DR + 8 * 7, 0x400 | 2 | 0xfL << 16);
      s.setGpr(RSI, DATA);
      s.setGpr(RDI, 0x7000_0000_0000L);
      assertEquals(List.of(), traps(m, m.assembler(64).hex("48 a5")));
      assertEquals(14, m.vector());
    }
  }

  @Test
  void portBreakpointsTrapWithDebugExtensions() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.CR4, CR4_LONG | 8);
      s.set(CpuState.DR, 0x200);
      s.set(CpuState.DR + 8 * 7, 0x400 | 2 | 0x6L << 16); // port, 2 bytes
      s.setGpr(RDX, 0x201);
      var a = m.assembler(64).hex("ee").inc(RDX).hex("ee").nop().hlt();
      assertEquals(List.of(1L, 1L), traps(m, a));
    }
  }

  @Test
  void singleStepAndBreakpointReportTogether() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR, DATA);
      s.set(CpuState.DR + 8 * 7, 0x400 | 2 | 0xfL << 16);
      s.setGpr(RBX, DATA);
      var a =
          m.assembler(64).pushConstant(0x102).popf().hex("48 89 03").pushConstant(2).popf().hlt();
      assertEquals(List.of(9L, (long) STEP | 1, 14L, (long) STEP, 15L, (long) STEP), traps(m, a));
    }
  }

  @Test
  void generalDetectGuardsTheDebugRegisters() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.set(CpuState.DR + 8 * 7, 0x2400);
      m.code(64, m.assembler(64).nop().movFromDebug(RAX, 0));
      m.run();
      assertEquals(1, m.vector());
      assertEquals(CODE + 1, m.stack(8, 0));
      assertEquals(1 << 13, m.state().get(CpuState.DR + 48) & ~DR6_CLEAR);
      assertEquals(0x400, m.state().get(CpuState.DR + 56), "the guard is open for the handler");
    }
  }

  @Test
  void debugRegistersFourAndFiveAreAliasesWithoutDebugExtensions() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).movFromDebug(RAX, 4).movFromDebug(RBX, 5).hlt());
      m.run();
      assertEquals(DR6_CLEAR, m.gpr(RAX));
      assertEquals(0x400, m.gpr(RBX));
      m.long64(0).set(CpuState.CR4, CR4_LONG | 8);
      m.run();
      assertEquals(6, m.vector());
    }
  }

  @Test
  void upperHalvesOfStatusAndControlMustBeZero() {
    try (var m = newMachine()) {
      for (int n : new int[] {6, 7}) {
        m.long64(0);
        m.code(64, m.assembler(64).mov(RAX, 1L << 32).movToDebug(n, RAX));
        m.run();
        assertEquals(13, m.vector());
      }
    }
  }

  @Test
  void breakpointsArmedWhileRunningTakeEffectAtOnce() {
    try (var m = newMachine()) {
      m.long64(0);
      var a = m.assembler(64);
      a.mov(RBX, DATA)
          .load(RCX, RBX, 0)
          .mov(RAX, DATA)
          .movToDebug(0, RAX)
          .mov(RAX, 0xf0402)
          .movToDebug(7, RAX);
      long at = a.here() - CODE;
      a.load(RCX, RBX, 0).nop().mov(RAX, 0x400).movToDebug(7, RAX).load(RCX, RBX, 0).nop();
      assertEquals(List.of(at + 7, 1L), traps(m, a.hlt()));
    }
  }
}
