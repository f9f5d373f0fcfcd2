package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.bothy.core.cpu.CpuState;
import dev.bothy.x86.assemble.Assembler;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class ProtectedModeTest extends EngineTest {
  /** One instruction, behind a NOP, faults. */
  static void expectFault(
      TestMachine m, int cpl, Consumer<Assembler> code, int vector, int errorCode) {
    m.protected32(cpl);
    Assembler a = m.assembler(32).nop();
    code.accept(a);
    m.code(32, a.hlt());
    m.run();
    assertEquals(vector, m.vector());
    assertEquals(errorCode, m.stack(4, 0), "error code");
    assertEquals(CODE + 1, m.stack(4, 1), "EIP of the fault");
  }

  @Test
  void interruptFromUserCodeSwitchesStacksAndIretComesBack() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.state().set(CpuState.RFLAGS, 0x202);
      m.code(32, m.assembler(32).interrupt(0x80).mov(RBX, 9).hex("0f 0b"));
      m.memory.write(
          HANDLERS + 0x800,
          new byte[] {(byte) 0x89, (byte) 0xe1, (byte) 0xcf}); // mov ecx, esp; iret
      m.run();
      assertEquals(6, m.vector());
      assertEquals(9, m.gpr(RBX));
      assertEquals(KERNEL_STACK - 20, m.gpr(RCX));
      assertEquals(KERNEL_STACK - 20, m.rsp());
      assertEquals(USER_CODE32, m.stack(4, 1));
      assertEquals(0x1_0202, m.stack(4, 2), "RF is set for a fault");
      assertEquals(USER_STACK, m.stack(4, 3));
      assertEquals(USER_FLAT, m.stack(4, 4));
      assertEquals(FLAT, m.selector(CpuState.SS));
      assertEquals(0, m.selector(CpuState.CS) & 3);
    }
  }

  @Test
  void userCodeMayNotCallAPrivilegedGate() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.gate32(0x80, CODE32, HANDLERS + 0x800, 0x8e);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0x80 * 8 + 2, m.stack(4, 0));
      assertEquals(CODE, m.stack(4, 1));
    }
  }

  @Test
  void absentGateIsVectorElevenWithItsNumber() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.gate32(0x80, CODE32, HANDLERS + 0x800, 0x6e);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.run();
      assertEquals(11, m.vector());
      assertEquals(0x80 * 8 + 2, m.stack(4, 0));
    }
  }

  @Test
  void gateBehindTheTablesEndIsRefused() {
    try (var m = newMachine()) {
      m.protected32(0).setInt32(CpuState.IDTR_LIMIT, 0x80 * 8 + 6);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0x80 * 8 + 2, m.stack(4, 0));
    }
  }

  @Test
  void trapGateLeavesInterruptsOn() {
    try (var m = newMachine()) {
      m.protected32(0).set(CpuState.RFLAGS, 0x202);
      m.gate32(0x80, CODE32, HANDLERS + 0x800, 0x8f);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.run();
      assertEquals(0x80, m.vector());
      assertEquals(0x202, m.state().get(CpuState.RFLAGS));
    }
  }

  @Test
  void sixteenBitGatePushesWords() {
    try (var m = newMachine()) {
      m.protected32(0).set(CpuState.RFLAGS, 0x202);
      m.gate32(0x80, CODE_16, HANDLERS + 0x800, 0x86);
      m.descriptor(CODE_16, 0x10_0000 & 0, 0xffff, 0x009b);
      m.state().setSegment(CpuState.CS, CODE32, CODE - 0x2000, -1, 0xc09b);
      m.state().set(CpuState.RIP, 0x2000);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.run();
      assertEquals(0x80, m.vector());
      assertEquals(KERNEL_STACK - 6, m.rsp());
      assertEquals(0x2002, m.stack(2, 0));
      assertEquals(CODE32, m.stack(2, 1));
      assertEquals(0x202, m.stack(2, 2));
    }
  }

  @Test
  void sixteenBitGateFromUserCodePushesFiveWordsOnTheInnerStack() {
    try (var m = newMachine()) {
      m.protected32(3).set(CpuState.RFLAGS, 0x202);
      m.gate32(0x80, CODE_16, HANDLERS + 0x800, 0xe6);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.run();
      assertEquals(0x80, m.vector());
      assertEquals(KERNEL_STACK - 10, m.rsp());
      assertEquals(2, m.stack(2, 0) & 0xffff);
      assertEquals(USER_CODE32, m.stack(2, 1));
      assertEquals(USER_STACK & 0xffff, m.stack(2, 3));
      assertEquals(USER_FLAT, m.stack(2, 4));
    }
  }

  @Test
  void badInnerStackIsVectorTen() {
    try (var m = newMachine()) {
      m.protected32(3);
      // The inner stack is bad only for level 0: its handlers then run on a conforming segment.
      m.descriptor(FREE, 0, 0xfffff, 0xc09f);
      m.gate32(10, FREE, HANDLERS + 160, 0xee);
      m.memory.writeByte(HANDLERS + 160, 0xeb);
      m.memory.writeByte(HANDLERS + 161, 0xfe);
      m.memory.writeInt(TSS + 8, USER_FLAT);
      m.code(32, m.assembler(32).interrupt(0x80));
      m.cpu.run(3);
      assertEquals(HANDLERS + 160, m.rip());
      assertEquals(USER_FLAT & ~3, m.stack(4, 0));
    }
  }

  @Test
  void callGateCopiesParametersToTheInnerStackAndReturnReleasesBoth() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.callGate(FREE, CODE32, 0x11_0000, 12, 3, 2);
      var a =
          m.assembler(32)
              .pushConstant(0x1111)
              .pushConstant(0x2222)
              .callFar(FREE | 3, 0xdead)
              .hex("0f 0b");
      m.code(32, a);
      var inner = new Assembler(32, 0x11_0000);
      inner
          .load(RAX, RSP, 8)
          .load(RBX, RSP, 12)
          .load(RCX, RSP, 16)
          .load(RDX, RSP, 20)
          .movRegister(RSI, RSP);
      m.memory.write(0x11_0000, inner.hex("ca 08 00").toBytes()); // retf 8
      m.run();
      assertEquals(6, m.vector());
      assertEquals(0x2222, m.gpr(RAX));
      assertEquals(0x1111, m.gpr(RBX));
      assertEquals(USER_STACK - 8, m.gpr(RCX));
      assertEquals(USER_FLAT, m.gpr(RDX));
      assertEquals(KERNEL_STACK - 24, m.gpr(RSI));
      assertEquals(USER_STACK, m.stack(4, 3), "parameters are gone from the outer stack");
      assertEquals(CODE + 17, m.stack(4, 0));
    }
  }

  @Test
  void sixteenBitCallGateCopiesWords() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.callGate(FREE, CODE32, 0x4000, 4, 3, 1);
      m.code(32, m.assembler(32).pushConstant(0x2222).callFar(FREE | 3, 0));
      m.memory.writeByte(0x4000, 0xf4);
      m.run();
      assertEquals(KERNEL_STACK - 10, m.rsp());
      assertEquals((CODE + 12) & 0xffff, m.stack(2, 0));
      assertEquals(USER_CODE32, m.stack(2, 1));
      assertEquals(0x2222, m.stack(2, 2));
      assertEquals((USER_STACK - 4) & 0xffff, m.stack(2, 3));
      assertEquals(USER_FLAT, m.stack(2, 4));
    }
  }

  @Test
  void callGateOfHigherPrivilegeIsRefused() {
    try (var m = newMachine()) {
      m.callGate(FREE, CODE32, 0x11_0000, 12, 0, 0);
      expectFault(m, 3, a -> a.callFar(FREE | 3, 0), 13, FREE);
      m.callGate(FREE, CODE32, 0x11_0000, 12, 3, 0);
      expectFault(m, 3, a -> a.jmpFar(FREE | 3, 0), 13, CODE32);
    }
  }

  @Test
  void callThroughAGateOfTheSameLevelKeepsTheStack() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.callGate(FREE, CODE32, 0x11_0000, 12, 0, 3);
      m.memory.writeByte(0x11_0000, 0xf4);
      m.code(32, m.assembler(32).callFar(FREE, 0));
      m.run();
      assertEquals(KERNEL_STACK - 8, m.rsp());
      assertEquals(CODE + 7, m.stack(4, 0));
    }
  }

  @Test
  void conformingCodeRunsAtTheCallersLevel() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.descriptor(FREE, 0, 0xfffff, 0xc09f);
      m.memory.write(
          0x11_0000, new byte[] {(byte) 0x8c, (byte) 0xc8, (byte) 0xcb}); // mov eax, cs; retf
      m.code(32, m.assembler(32).callFar(FREE, 0x11_0000).hex("0f 0b"));
      m.run();
      assertEquals(FREE | 3, m.gpr(RAX));
      assertEquals(6, m.vector());
      assertEquals(USER_CODE32, m.stack(4, 1));
    }
  }

  @Test
  void farJumpsCheckPrivilegeAndPresence() {
    try (var m = newMachine()) {
      expectFault(m, 3, a -> a.jmpFar(CODE32, 0), 13, CODE32);
      expectFault(m, 0, a -> a.jmpFar(USER_CODE32 & ~3, 0), 13, USER_CODE32 & ~3);
      expectFault(m, 0, a -> a.jmpFar(FLAT, 0), 13, FLAT);
      expectFault(m, 0, a -> a.jmpFar(0, 0), 13, 0);
      m.descriptor(FREE, 0, 0xfffff, 0xc01b);
      expectFault(m, 0, a -> a.jmpFar(FREE, 0), 11, FREE);
      m.descriptor(FREE, 0, 0xfff, 0x409b);
      expectFault(m, 0, a -> a.jmpFar(FREE, 0x1000), 13, 0);
    }
  }

  @Test
  void farReturnToTheOuterLevelDropsInnerDataSegments() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.state().setSegment(CpuState.GS, USER_FLAT, 0, -1, 0xc0f3);
      var a = m.assembler(32);
      a.pushConstant(USER_FLAT)
          .pushConstant((int) USER_STACK)
          .pushConstant(USER_CODE32)
          .pushConstant(0x11_0000)
          .retFar();
      m.code(32, a);
      m.memory.writeShort(0x11_0000, 0x0b0f);
      m.run();
      assertEquals(6, m.vector());
      assertEquals(USER_CODE32, m.stack(4, 1));
      assertEquals(USER_STACK, m.stack(4, 3));
      assertEquals(0, m.selector(CpuState.DS));
      assertEquals(0, m.selector(CpuState.FS));
      assertEquals(USER_FLAT, m.selector(CpuState.GS));
    }
  }

  @Test
  void interruptReturnToASixteenBitStackLoadsOnlySp() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.descriptor(FREE, 0, 0xffff, 0x00f3);
      var a = m.assembler(32);
      a.pushConstant(FREE | 3)
          .pushConstant(0x1234_6000)
          .pushConstant(2)
          .pushConstant(USER_CODE32)
          .pushConstant(0x11_0000)
          .iret();
      m.code(32, a);
      m.memory.write(
          0x11_0000,
          new byte[] {(byte) 0x89, (byte) 0xe0, 0x50, 0x0f, 0x0b}); // mov eax, esp; push eax; ud2
      m.run();
      assertEquals(6, m.vector());
      assertEquals((KERNEL_STACK - 20) & 0xffff_0000L | 0x6000, m.gpr(RAX));
      assertEquals((KERNEL_STACK - 20) & 0xffff_0000L | 0x5ffc, m.stack(4, 3));
      assertEquals(m.gpr(RAX), m.memory.readInt(0x5ffc));
    }
  }

  @Test
  void interruptReturnRefusesBadFrames() {
    try (var m = newMachine()) {
      for (int[] bad :
          new int[][] {
            {USER_FLAT, USER_CODE32 & ~3, USER_CODE32 & ~3}, // RPL is not the segment's
            {FLAT, USER_CODE32, FLAT},
            {0, USER_CODE32, 0},
            {USER_FLAT, 0, 0},
            {USER_FLAT, FLAT, FLAT}
          }) {
        m.protected32(0);
        var a = m.assembler(32);
        a.pushConstant(bad[0])
            .pushConstant((int) USER_STACK)
            .pushConstant(2)
            .pushConstant(bad[1])
            .pushConstant(0x11_0000);
        long at = a.here();
        m.code(32, a.iret());
        m.run();
        assertEquals(13, m.vector());
        assertEquals(bad[2], m.stack(4, 0));
        assertEquals(at, m.stack(4, 1));
        assertEquals(KERNEL_STACK - 20 - 16, m.rsp());
      }
    }
  }

  @Test
  void userCodeCannotRaiseItsPrivilegesThroughFlags() {
    try (var m = newMachine()) {
      m.protected32(3).set(CpuState.RFLAGS, 0x202);
      m.code(32, m.assembler(32).pushConstant(0x3000).popf().pushf().pop(RAX).hex("0f 0b"));
      m.run();
      assertEquals(0x202, m.gpr(RAX));
      m.protected32(3).set(CpuState.RFLAGS, 0x3202);
      m.code(32, m.assembler(32).pushConstant(0).popf().pushf().pop(RAX).hex("0f 0b"));
      m.run();
      assertEquals(0x3002, m.gpr(RAX));
    }
  }

  @Test
  void portsFollowThePermissionMap() {
    try (var m = newMachine()) {
      m.protected32(3);
      m.memory.writeByte(TSS + 0x68 + 0x208 / 8, 0xf0); // 0x208 to 0x20b
      m.code(32, m.assembler(32).mov(RDX, 0x208).hex("ed").mov(RDX, 0x209).hex("ed"));
      m.run();
      assertEquals(13, m.vector());
      assertEquals(CODE + 11, m.stack(4, 1));
      assertEquals(0x1122_3344, m.gpr(RAX));
      assertEquals(1, m.portAccesses.size());
    }
  }

  @Test
  void portsAreOpenWhenTheIoPrivilegeLevelAllows() {
    try (var m = newMachine()) {
      m.protected32(3).set(CpuState.RFLAGS, 0x3002);
      m.code(32, m.assembler(32).mov(RDX, 0x300).hex("ee fa fb 0f 0b")); // out; cli; sti
      m.run();
      assertEquals(6, m.vector());
      assertEquals(1, m.portAccesses.size());
    }
  }

  @Test
  void portsAndInterruptFlagAreClosedOtherwise() {
    try (var m = newMachine()) {
      expectFault(m, 3, a -> a.hex("ee"), 13, 0);
      expectFault(m, 3, Assembler::cli, 13, 0);
      expectFault(m, 3, Assembler::sti, 13, 0);
      expectFault(m, 3, Assembler::hlt, 13, 0);
      assertEquals(0, m.portAccesses.size());
    }
  }

  @Test
  void privilegedInstructionsFaultInUserCode() {
    for (String code :
        new String[] {
          "0f 20 c0",
          "0f 22 c0",
          "0f 21 c0",
          "0f 23 c0",
          "0f 06",
          "0f 30",
          "0f 32",
          "0f 01 15 00 00 20 00",
          "0f 01 1d 00 00 20 00",
          "0f 01 38",
          "0f 09",
          "0f 08",
          "0f 01 f0",
          "0f 00 d0",
          "0f 00 d8"
        }) {
      try (var m = newMachine()) {
        expectFault(m, 3, a -> a.hex(code), 13, 0);
      }
    }
  }

  @Test
  void sixteenBitCodeCallsThirtyTwoBitCode() {
    try (var m = newMachine()) {
      m.protected16();
      // call far dword 8:0x110000, from 16-bit code; the return is 32 bits wide.
      m.code(16, m.assembler(16).hex("66 9a 00 00 11 00 08 00").mov(RBX, 5).hlt());
      m.memory.write(0x11_0000, new byte[] {(byte) 0xb8, 1, 2, 3, 4, (byte) 0xcb});
      m.run();
      assertEquals(0x0403_0201, m.gpr(RAX));
      assertEquals(5, m.gpr(RBX) & 0xffff);
      assertEquals(STACK16, m.rsp());
    }
  }

  @Test
  void popOfStackSegmentMovesThePointerByTheOldStack() {
    try (var m = newMachine()) {
      m.protected32(0);
      m.code(32, m.assembler(32).pushConstant(DATA_16).hex("17").movRegister(RAX, RSP).hlt());
      m.run();
      assertEquals(KERNEL_STACK, m.gpr(RAX));
      assertEquals(DATA_16, m.selector(CpuState.SS));
    }
  }

  @Test
  void sysenterAndSysexit() {
    try (var m = newMachine()) {
      CpuState s = m.protected32(3);
      m.descriptor(0x68, 0, 0xfffff, 0xc09b);
      s.set(CpuState.SYSENTER_CS, FREE);
      s.set(CpuState.SYSENTER_ESP, KERNEL_STACK);
      s.set(CpuState.SYSENTER_EIP, 0x11_0000);
      s.set(CpuState.RFLAGS, 0x202);
      m.code(32, m.assembler(32).sysenter());
      var kernel = new Assembler(32, 0x11_0000).hex("8c c8 8c d3").pushf().pop(RSI);
      kernel.mov(RDX, 0x12_0000).mov(RCX, USER_STACK).sysexit();
      m.memory.write(0x11_0000, kernel.toBytes());
      m.memory.write(
          0x12_0000, new byte[] {(byte) 0x8c, (byte) 0xc9, (byte) 0x8c, (byte) 0xd2, 0x0f, 0x0b});
      m.run();
      assertEquals(FREE, m.gpr(RAX));
      assertEquals(FREE + 8, m.gpr(RBX));
      assertEquals(2, m.gpr(RSI));
      assertEquals(FREE + 16 | 3, m.gpr(RCX));
      assertEquals(FREE + 24 | 3, m.gpr(RDX));
      assertEquals(6, m.vector());
    }
  }

  @Test
  void controlRegistersRefuseReservedCombinations() {
    try (var m = newMachine()) {
      m.protected32(0);
      for (long bad : new long[] {0x8000_0010L, 0x2000_0011L}) {
        m.protected32(0).setGpr(RAX, bad);
        m.code(32, m.assembler(32).movToControl(0, RAX));
        m.run();
        assertEquals(13, m.vector(), Long.toHexString(bad));
      }
      m.protected32(0).setGpr(RAX, 0x2_0000); // PCIDE outside long mode
      m.code(32, m.assembler(32).movToControl(4, RAX));
      m.run();
      assertEquals(13, m.vector());
      assertNotEquals(0x2_0000, m.state().get(CpuState.CR4) & 0x2_0000);
    }
  }

  @Test
  void umipHidesTablesFromUserCode() {
    for (String code :
        new String[] {
          "0f 00 c0", "0f 00 c8", "0f 01 e0", "0f 01 05 00 00 20 00", "0f 01 0d 00 00 20 00"
        }) {
      try (var m = newMachine()) {
        m.protected32(3);
        m.code(32, m.assembler(32).hex(code).hex("0f 0b"));
        m.run();
        assertEquals(6, m.vector());
        m.protected32(3).set(CpuState.CR4, 0xe00);
        m.run();
        assertEquals(13, m.vector());
      }
    }
  }
}
