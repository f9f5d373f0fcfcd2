package dev.bothy.x86.directed;

import static dev.bothy.x86.directed.TestMachine.*;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.bothy.core.Exit;
import dev.bothy.core.cpu.CpuState;
import org.junit.jupiter.api.Test;

class CodeChangeTest extends EngineTest {
  @Test
  void storeChangesTheNextInstructionOfItsOwnBlock() {
    try (var m = newMachine()) {
      m.long64(0);
      var a = m.assembler(64).mov(RBX, CODE).mov(RAX, 7);
      int constant = (int) (a.here() - CODE) + 6 + 3; // of the MOV behind the store
      a.store8(RBX, constant, RAX).mov(RCX, 1).mov(RDX, 2).hlt();
      m.code(64, a);
      m.run();
      assertEquals(7, m.gpr(RCX));
      assertEquals(2, m.gpr(RDX));
    }
  }

  @Test
  void loopThatPatchesItselfSeesEveryPatch() {
    try (var m = newMachine()) {
      m.long64(0);
      var a = m.assembler(64).mov(RBX, CODE).xorRegister(RSI, RSI).label("loop");
      int constant = (int) (a.here() - CODE) + 7 + 3; // of the MOV behind the addition
      a.memory(false, new int[] {0x80}, 0, RBX, constant).emit(1); // add byte [rbx+constant], 1
      m.code(64, a.mov(RCX, 0).addRegister(RSI, RCX).cmp(RCX, 100).jnz("loop").hlt());
      m.run();
      assertEquals(100 * 101 / 2, m.gpr(RSI));
    }
  }

  @Test
  void codeOnAnotherPageIsPatchedBetweenCalls() {
    try (var m = newMachine()) {
      m.long64(0).setGpr(RBX, DATA);
      m.memory.write(DATA, new byte[] {(byte) 0xb8, 0, 0, 0, 0, (byte) 0xc3}); // mov eax, imm; ret
      var a =
          m.assembler(64).mov(RCX, 50).label("loop").memory(false, new int[] {0x89}, RCX, RBX, 1);
      a.hex("ff d3").addRegister(RSI, RAX).dec(RCX).jnz("loop").hlt();
      m.code(64, a);
      m.run();
      assertEquals(50 * 51 / 2, m.gpr(RSI));
    }
  }

  @Test
  void instructionAcrossPagesIsPatchedOnEitherSide() {
    try (var m = newMachine()) {
      long start = DATA + 0xffe;
      m.long64(0).setGpr(RBX, start);
      m.memory.write(start, new byte[] {(byte) 0xb8, 0, 0, 0, 0, (byte) 0xc3});
      var a = m.assembler(64).mov(RCX, 60).label("loop");
      a.memory(false, new int[] {0x88}, RCX, RBX, 1)
          .hex("ff d3")
          .addRegister(RSI, RAX); // low byte: first page
      a.memory(false, new int[] {0x88}, RCX, RBX, 2)
          .hex("ff d3")
          .addRegister(RDI, RAX); // next byte: second page
      a.dec(RCX).jnz("loop").hlt();
      m.code(64, a);
      m.run();
      long low = 0;
      long high = 0;
      int second = 0;
      for (int n = 60; n > 0; n--) {
        low += n | second << 8;
        second = n;
        high += n | second << 8;
      }
      assertEquals(low, m.gpr(RSI));
      assertEquals(high, m.gpr(RDI));
    }
  }

  @Test
  void blockAcrossPagesRunsOnAfterItsSecondPageWasOverwritten() {
    try (var m = newMachine()) {
      // The straddling instruction itself overwrites its own second half.
      long start = DATA + 0xffc;
      CpuState s = m.long64(0);
      s.setGpr(RBX, start);
      s.setGpr(RCX, 0x11);
      // mov [rbx+6], cl with a 32-bit displacement: its last byte is overwritten only afterwards.
      m.memory.write(
          start, new byte[] {(byte) 0x88, (byte) 0x8b, 7, 0, 0, 0, (byte) 0xb0, 0, (byte) 0xf4});
      s.set(CpuState.RIP, start);
      m.run();
      assertEquals(0x11, m.gpr(RAX));
      s = m.long64(0);
      s.setGpr(RBX, start);
      s.setGpr(RCX, 0x22);
      s.set(CpuState.RIP, start);
      m.run();
      assertEquals(0x22, m.gpr(RAX));
    }
  }

  @Test
  void stringMovePatchesCode() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setGpr(RBX, DATA + 0x1000);
      m.memory.write(DATA + 0x1000, new byte[] {(byte) 0xb8, 1, 0, 0, 0, (byte) 0xc3});
      m.memory.write(DATA, new byte[] {(byte) 0xb8, 2, 0, 0, 0, (byte) 0xc3});
      var a =
          m.assembler(64)
              .hex("ff d3")
              .movRegister(RBP, RAX)
              .mov(RSI, DATA)
              .mov(RDI, DATA + 0x1000)
              .mov(RCX, 512);
      a.hex("f3 48 a5").hex("ff d3").hlt();
      m.code(64, a);
      m.run();
      assertEquals(1, m.gpr(RBP));
      assertEquals(2, m.gpr(RAX));
    }
  }

  @Test
  void stringMoveOverItselfFinishes() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      // Fills the rest of the page with HLT, the bytes of the running instruction included.
      s.setGpr(RDI, CODE);
      s.setGpr(RCX, 0x1000);
      s.setGpr(RAX, 0xf4);
      m.code(64, m.assembler(64).hex("f3 aa 0f 0b"));
      m.run();
      assertEquals(0, m.gpr(RCX));
      assertEquals(-1, m.vector());
      assertEquals(CODE + 3, m.rip());
    }
  }

  @Test
  void pushOverTheNextInstructionIsSeen() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      s.setGpr(RSP, CODE + 16);
      s.setGpr(RAX, 0xf4f4_f4f4_f4f4_f4f4L);
      m.code(64, m.assembler(64).hex("90 90 90 90 90 90 90 50 0f 0b 0f 0b 0f 0b 0f 0b"));
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(CODE + 9, m.rip());
    }
  }

  @Test
  void callThatOverwritesItsOwnTargetIsSeen() {
    try (var m = newMachine()) {
      CpuState s = m.long64(0);
      // The return address 0x100005 becomes the code at the target: add eax, 0x1000.. is what its
      // bytes say.
      s.setGpr(RSP, CODE + 0x108);
      m.memory.write(CODE + 0x100, new byte[] {0x0f, 0x0b, 0x0f, 0x0b});
      m.code(64, m.assembler(64).hex("e8 fb 00 00 00"));
      m.memory.write(CODE + 0x106, new byte[] {0, 0, (byte) 0xf4});
      m.cpu.run(2);
      // 05 00 10 00 00 : add eax, 0x1000
      assertEquals(0x1000, m.gpr(RAX));
      assertEquals(CODE + 0x105, m.rip());
    }
  }

  @Test
  void deviceWritesAreSeen() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).label("loop").mov(RAX, 1).jmp("loop"));
      assertInstanceOf(Exit.BudgetSpent.class, m.cpu.run(1000));
      m.memory.writeByte(CODE, 0xf4);
      assertInstanceOf(Exit.Halted.class, m.cpu.run(1000));
    }
  }

  @Test
  void deviceWriteFromAPortAccessIsSeenAtTheNextInstruction() {
    try (var m = newMachine()) {
      var a = m.assembler(64).mov(RDX, 0x4000).hex("ee");
      long patched = a.here();
      m.ports.map(
          "dma",
          0x4000,
          1,
          new dev.bothy.core.BusDevice() {
            @Override
            public long read(long offset, int size) {
              return 0;
            }

            @Override
            public void write(long offset, int size, long value) {
              m.memory.writeByte(patched, 0xf4);
            }
          });
      m.long64(0);
      m.code(64, a.hex("0f 0b"));
      m.run();
      assertEquals(-1, m.vector());
      assertEquals(patched + 1, m.rip());
    }
  }

  @Test
  void resetForgetsCodeWhateverHappenedToMemory() {
    try (var m = newMachine()) {
      m.long64(0);
      m.code(64, m.assembler(64).hlt());
      m.run();
      m.memory.all().set(java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED, CODE, (short) 0x0b0f);
      m.cpu.reset();
      m.long64(0);
      m.run();
      assertEquals(6, m.vector());
    }
  }

  @Test
  void accessedAndDirtyBitsOnACodePageCountAsWrites() {
    try (var m = newMachine()) {
      // A page-table page that is run as code: the walk's accessed bit turns an instruction into
      // another.
      long table = 0x6_0000;
      m.memory.writeLong(PD + 8 * 5, table | P | W | U);
      // Entry 0: bytes 03 d0 .. : add edx, eax; with the accessed bit 23 d0: and edx, eax.
      m.memory.writeLong(table, 0x0000_0000_00c3_d003L & 0xff_ffff_ffffL);
      CpuState s = m.long64(0);
      s.setGpr(RAX, 6);
      s.setGpr(RDX, 3);
      s.setGpr(RBX, table);
      s.setGpr(RSI, 0xa0_0000);
      var a =
          m.assembler(64)
              .hex("ff d3")
              .movRegister(RDI, RDX)
              .mov(RDX, 3)
              .hex("8a 0e")
              .hex("ff d3")
              .hlt();
      m.code(64, a);
      m.run();
      assertEquals(9, m.gpr(RDI));
      assertEquals(2, m.gpr(RDX));
    }
  }

  /** Generated code that is left for the walk must not go on as it was before. */
  @Test
  void codeThatIsOverwrittenWhileItWaitsForAWalkIsRunAsItIsThen() {
    try (var m = newMachine()) {
      long entry = DATA_PT + 8 * 16;
      // As code, the entry is add eax, ecx; hlt. Once it is accessed, it is and eax, ecx; hlt.
      m.memory.write(entry - 3, new byte[] {0x48, (byte) 0x8b, 0x13}); // mov rdx, [rbx]
      m.memory.writeLong(entry, 0xf4_c103);
      m.memory.writeLong(0xf4_c000, 77);
      CpuState s = m.long64(0);
      s.setGpr(RBX, DATA + 16 * 0x1000);
      s.setGpr(RAX, 0b1100);
      s.setGpr(RCX, 0b1010);
      s.set(CpuState.RIP, entry - 3);
      m.run();
      assertEquals(77, m.gpr(RDX));
      assertEquals(0xf4_c123, m.memory.readLong(entry));
      assertEquals(0b1000, m.gpr(RAX));
    }
  }

  @Test
  void manyPatchesOfStraddlingCodeKeepMemoryBounded() {
    try (var m = newMachine()) {
      long start = DATA + 0xffe;
      m.long64(0).setGpr(RBX, start);
      m.memory.write(start, new byte[] {(byte) 0xb8, 0, 0, 0, 0, (byte) 0xc3});
      var a = m.assembler(64).mov(RCX, 30_000).label("loop");
      a.memory(false, new int[] {0x88}, RCX, RBX, 1).hex("ff d3").dec(RCX).jnz("loop").hlt();
      m.code(64, a);
      m.run();
      var counters = m.cpu.counters();
      long alive = counters.get("blocksBuilt") - counters.get("blocksDropped");
      assertEquals(true, alive < 20, "blocks alive: " + alive);
    }
  }

  @Test
  void pageThatIsStoredToAgainAndAgainIsTakenForDataUntilItRuns() {
    try (var m = newMachine()) {
      m.long64(0);
      long page = DATA + 0x8000;
      for (int i = 0; i < 100; i++) {
        m.memory.write(page + 8 * i, new byte[] {(byte) 0xc3}); // ret
      }
      var a = m.assembler(64).mov(RSI, 2).label("again").mov(RBX, page).mov(RCX, 100);
      a.label("call").hex("ff d3").hex("48 83 c3 08").dec(RCX).jnz("call"); // add rbx, 8
      // Beside the code, and no more often than what shows that the page is data.
      a.mov(RBX, page + 0x800).mov(RCX, 16).label("store").store(RBX, 0, RCX);
      m.code(64, a.dec(RCX).jnz("store").dec(RSI).jnz("again").hlt());
      m.run();
      assertEquals(1, m.memory.readLong(page + 0x800));
      long dropped = m.cpu.counters().get("blocksDropped");
      assertEquals(true, dropped >= 200, "blocks dropped: " + dropped);
    }
  }
}
