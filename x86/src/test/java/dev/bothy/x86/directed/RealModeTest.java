package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.api.Test;

class RealModeTest extends EngineTest {
  @Test
  void softwareInterruptGoesThroughTheVectorTableAndComesBack() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.set(CpuState.RFLAGS, 0x302 & ~TF | IF);
      var a = m.assembler(16).interrupt(0x40).mov(RBX, 0x55).hlt();
      m.code(16, a);
      m.memory.write(
          HANDLERS + 16 * 0x40, new byte[] {(byte) 0x9c, 0x58, (byte) 0xcf}); // pushf, pop ax, iret
      m.run();
      assertEquals(0x55, m.gpr(RBX));
      assertEquals(0x2, m.gpr(RAX) & 0xffff, "IF is off in the handler");
      assertEquals(0x202, m.state().get(CpuState.RFLAGS));
      assertEquals(STACK16, m.rsp());
    }
  }

  @Test
  void exceptionPushesNoErrorCode() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.setGpr(RSI, 0xffff);
      m.code(16, m.assembler(16).nop().hex("8b 04")); // mov ax, [si]: a word over the segment's end
      m.run();
      assertEquals(13, m.vector());
      assertEquals(STACK16 - 6, m.rsp());
      assertEquals(CODE16 + 1, m.stack(2, 0));
    }
  }

  @Test
  void stackPointerWrapsAtSixtyFourKibibytes() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.setGpr(RSP, 0x1234_0000);
      m.code(16, m.assembler(16).mov(RAX, 0xbeef).push(RAX).hlt());
      m.run();
      assertEquals(0x1234_fffeL, m.rsp());
      assertEquals(0xbeef, m.memory.readShort(0xfffe));
    }
  }

  @Test
  void addressesOfSixteenBitsWrapInsideTheSegment() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.setGpr(RBX, 0xfff0);
      s.setGpr(RSI, 0x20);
      m.memory.writeByte(0x5010, 0x77);
      s.setSegment(CpuState.DS, 0x500, 0x5000, 0xffff, 0x93);
      m.code(16, m.assembler(16).hex("8a 00").hlt()); // mov al, [bx+si]
      m.run();
      assertEquals(0x77, m.gpr(RAX) & 0xff);
    }
  }

  @Test
  void jumpBehindTheEndOfTheSegmentFaultsAtTheTarget() {
    try (var m = newMachine()) {
      m.real().set(CpuState.RIP, 0xfffe);
      m.memory.writeShort(0xfffe, 0x9090); // falls out of the segment
      m.run();
      assertEquals(13, m.vector());
    }
  }

  @Test
  void instructionThatLeavesTheSegmentFaults() {
    try (var m = newMachine()) {
      m.real().set(CpuState.RIP, 0xfffd);
      m.memory.write(
          0xfffd, new byte[] {(byte) 0x90, (byte) 0xb8, 0x11, 0x22}); // nop; mov ax, over the end
      m.run();
      assertEquals(13, m.vector());
      assertEquals(0xfffe, m.stack(2, 0));
    }
  }

  @Test
  void unrealModeKeepsTheLimitLoadedInProtectedMode() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      var a = m.assembler(16);
      a.cli().mov32(RAX, 0x11).movToControl(0, RAX).jmp("protected");
      a.label("protected").mov(RBX, FLAT).movToSegment(CpuState.DS, RBX);
      a.mov32(RAX, 0x10).movToControl(0, RAX).jmp("real").label("real");
      a.xorRegister(RAX, RAX).movToSegment(CpuState.DS, RAX);
      a.mov32(RBX, 0x30_0000).hex("67 66 8b 03").hlt(); // mov eax, [ebx]
      m.code(16, a);
      m.memory.writeInt(0x30_0000, 0x1234_5678);
      m.run();
      assertEquals(0x1234_5678, m.gpr(RAX));
      assertEquals(0, s.get(CpuState.segment(CpuState.DS, CpuState.SEGMENT_BASE)));
    }
  }

  @Test
  void farCallAndReturn() {
    try (var m = newMachine()) {
      m.real();
      m.code(16, m.assembler(16).callFar(0x900, 0x10).mov(RBX, 7).hlt());
      m.memory.write(
          0x9010, new byte[] {(byte) 0x8c, (byte) 0xc8, (byte) 0xca, 2, 0}); // mov ax, cs; retf 2
      m.run();
      assertEquals(0x900, m.gpr(RAX) & 0xffff);
      assertEquals(7, m.gpr(RBX));
      assertEquals(STACK16 + 2, m.rsp());
    }
  }

  @Test
  void shortVectorTableEndsInShutdown() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.setInt32(CpuState.IDTR_LIMIT, 0);
      m.code(16, m.assembler(16).hex("0f 0b"));
      assertEquals(dev.bothy.core.Exit.Shutdown.class, m.cpu.run(10).getClass());
      assertEquals(dev.bothy.core.Exit.Shutdown.class, m.cpu.run(10).getClass());
    }
  }

  @Test
  void segmentQueriesDoNotExist() {
    try (var m = newMachine()) {
      m.real();
      m.code(16, m.assembler(16).hex("0f 00 c0")); // sldt ax
      m.run();
      assertEquals(6, m.vector());
    }
  }

  @Test
  void enterAndLeaveNest() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      s.setGpr(RBP, 0x6800);
      m.memory.writeShort(0x67fe, 0x1111); // display of the frame above
      m.code(
          16,
          m.assembler(16)
              .hex("c8 04 00 02")
              .movRegister(RAX, RSP)
              .hex("c9")
              .hlt()); // enter 4, 2; leave
      m.run();
      assertEquals(0x6800, m.memory.readShort(STACK16 - 2));
      assertEquals(0x1111, m.memory.readShort(STACK16 - 4));
      assertEquals(STACK16 - 2, m.memory.readShort(STACK16 - 6));
      assertEquals(STACK16 - 10, m.gpr(RAX) & 0xffff);
      assertEquals(0x6800, m.gpr(RBP));
      assertEquals(STACK16, m.rsp());
    }
  }

  @Test
  void pushAllAndPopAllSkipTheStackPointer() {
    try (var m = newMachine()) {
      CpuState s = m.real();
      for (int r = 0; r < 8; r++) {
        if (r != RSP) {
          s.setGpr(r, 0x100 + r);
        }
      }
      var a = m.assembler(16).hex("60");
      for (int r = 0; r < 8; r++) {
        if (r != RSP) {
          a.mov(r, 0);
        }
      }
      m.code(16, a.hex("61").hlt());
      m.run();
      assertEquals(STACK16, m.memory.readShort(STACK16 - 10), "SP as it was before");
      for (int r = 0; r < 8; r++) {
        assertEquals(r == RSP ? STACK16 : 0x100 + r, m.gpr(r));
      }
    }
  }
}
