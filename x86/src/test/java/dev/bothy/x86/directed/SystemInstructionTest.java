package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.api.Test;

/** What kernels do all the time, one instruction after the other in a block. */
class SystemInstructionTest extends EngineTest {
  private static final int ARITHMETIC = 0x8d5;

  @Test
  void flagsGoToTheStackAndComeBack() {
    for (int cpl : new int[] {0, 3}) {
      for (int flags : new int[] {0, ARITHMETIC, 1, 4, 0x10, 0x40, 0x80, 0x400, 0x800, 0x20_0000}) {
        try (var m = newMachine()) {
          m.long64(cpl);
          var a = m.assembler(64).pushConstant(flags).popf();
          // Loses the host's flags, keeps the guest's.
          a.load(RBX, RSP, -8).pushf().pop(RCX).pushConstant(0).popf().pushf().pop(RDX);
          a.interrupt(0x80);
          m.code(64, a);
          m.run();
          assertEquals(flags, m.gpr(RBX));
          assertEquals(flags | 2, m.gpr(RCX));
          assertEquals(2, m.gpr(RDX));
        }
      }
    }
  }

  @Test
  void popfTakesWhatThePrivilegeAllows() {
    try (var m = newMachine()) {
      m.long64(3);
      m.code(64, m.assembler(64).pushConstant(0x3a02).popf().pushf().pop(RBX).interrupt(0x80));
      m.run();
      assertEquals(0x802, m.gpr(RBX), "neither IF nor IOPL");
    }
    try (var m = newMachine()) {
      var s = m.long64(3);
      s.set(CpuState.RFLAGS, 0x3002);
      m.code(64, m.assembler(64).pushConstant(0x202).popf().pushf().pop(RBX).interrupt(0x80));
      m.run();
      assertEquals(0x3202, m.gpr(RBX), "IF, by IOPL");
    }
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).pushConstant(0x3202).popf().pushf().pop(RBX).hlt());
      m.run();
      assertEquals(0x3202, m.gpr(RBX), "everything");
    }
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).pushConstant(0x102).popf().nop().nop().hlt());
      m.run();
      assertEquals(1, m.vector(), "TF");
      assertEquals(CODE + 7, m.stack(8, 0), "after one more instruction");
    }
  }

  @Test
  void popfThatFaultsChangesNothing() {
    try (var m = newMachine()) {
      var s = m.long64(0);
      s.set(CpuState.RFLAGS, 0x202 | 0x8c1);
      s.setGpr(RSP, DATA + 0x2000);
      m.page(DATA + 0x2000, 0, 0);
      m.memory.writeLong(TSS + 0x24, IST_STACK);
      m.gate64(14, CODE64, HANDLERS + 16 * 14, 0x8e, 1);
      m.code(64, m.assembler(64).popf().hlt());
      m.run();
      assertEquals(14, m.vector());
      assertEquals(0x1_0202 | 0x8c1, m.stack(8, 3));
      assertEquals(DATA + 0x2000, m.stack(8, 4));
      assertEquals(DATA + 0x2000, s.get(CpuState.CR2));
    }
  }

  @Test
  void popfThatSetsTheInterruptFlagLetsTheInterruptIn() {
    try (var m = newMachine()) {
      m.long64(0);
      m.apic.request(0x55);
      m.code(64, m.assembler(64).nop().pushConstant(0x202).popf().inc(RAX).hlt());
      m.run();
      assertEquals(0x55, m.vector());
      assertEquals(0, m.gpr(RAX), "POPF shadows nothing");
    }
  }

  @Test
  void sahfLeavesTheOverflowFlag() {
    for (int overflow : new int[] {0, 0x800}) {
      try (var m = newMachine()) {
        var s = m.long64(3);
        s.set(CpuState.RFLAGS, 2 | overflow);
        // Once with the flags in memory, once right behind an instruction that sets them.
        var a = m.assembler(64).mov(RAX, 0xd500).emit(0x9e).pushf().pop(RBX);
        a.mov(RCX, overflow == 0 ? 1 : 0x7fff_ffff).emit(0x83, 0xc1, 1).mov(RAX, 0x100);
        a.emit(0x9e).pushf().pop(RDX);
        m.code(64, a.interrupt(0x80));
        m.run();
        assertEquals(0xd7 | overflow, m.gpr(RBX));
        assertEquals(3 | overflow, m.gpr(RDX));
      }
    }
  }

  @Test
  void supervisorReachesUserPagesBetweenStacAndClacOnly() {
    for (boolean smap : new boolean[] {true, false}) {
      try (var m = newMachine()) {
        var s = m.long64(0);
        s.set(CpuState.CR4, CR4_LONG | (smap ? 1 << 21 : 0));
        m.memory.writeLong(PML4, PDPT | P | W | U);
        // Everything but one page becomes the supervisor's.
        m.memory.writeLong(PD, P | W | LARGE);
        for (int i = 0; i < 512; i++) {
          m.page(DATA + i * 4096L, DATA + i * 4096L, P | W);
        }
        m.page(DATA, DATA, P | W | U);
        m.memory.writeLong(DATA, 0x1234);
        var a = m.assembler(64).mov(RSI, DATA).mov(RBP, 3).label("again");
        a.stac().load(RBX, RSI, 0).pushf().pop(RDX).stac().clac().clac().pushf().pop(RDI);
        a.dec(RBP).jnz("again").load(RCX, RSI, 0).hlt();
        m.code(64, a);
        m.run();
        assertEquals(smap ? 14 : -1, m.vector());
        assertEquals(0x1234, m.gpr(RBX));
        assertEquals(smap ? 0 : 0x1234, m.gpr(RCX));
        assertEquals(AC, m.gpr(RDX) & AC);
        assertEquals(0, m.gpr(RDI) & AC);
      }
    }
  }

  @Test
  void interruptInstructionsOfUserCodeFollowTheirPrivilegeLevel() {
    for (boolean set : new boolean[] {true, false}) {
      for (int iopl : new int[] {0, 3}) {
        try (var m = newMachine()) {
          var s = m.long64(3);
          s.set(CpuState.RFLAGS, 2 | iopl << 12 | (set ? 0 : 0x200));
          var a = m.assembler(64).nop();
          m.code(64, (set ? a.sti() : a.cli()).nop().pushf().pop(RBX).interrupt(0x80));
          m.run();
          assertEquals(iopl == 0 ? 13 : 0x80, m.vector());
          if (iopl != 0) {
            assertEquals(set ? 0x3202 : 0x3002, m.gpr(RBX));
          }
        }
      }
    }
  }
}
